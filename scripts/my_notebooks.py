"""Give a reader copies of the chapters without outputs: `make lab` and `make fresh CHAPTER=03`.

    python scripts/my_notebooks.py [FOLDER] [--fresh CHAPTER]

The copies lie in FOLDER/my-notebooks, where FOLDER is the course itself or, on a server, a folder
of the user's own. One that was changed or run is never written to: a newer version of it is laid
beside it. --fresh moves a copy aside and makes it anew.
"""

import argparse
import hashlib
import itertools
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

COURSE = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "GLOSSARY.md")  # they link to chapters: here, to the reader's copies
CHAPTERS = "notebooks/[0-9][0-9]_*.ipynb"
RECORD = ".versions.json"  # of each copy, the digests of the versions that were laid out

PAGE_LINK = re.compile(rf"\]\(\.\./({'|'.join(map(re.escape, PAGES))})")

LANGUAGE = {  # as the kernel describes itself, or opening a chapter would mark it as changed
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
    "version": sys.version.split()[0],
}


def copy_chapters(folder: Path = COURSE, fresh: str = "") -> list[str]:
    """Bring FOLDER/my-notebooks up to date, and return what its reader should know of that.

    `fresh` is the chapter, as 3 or 03 or 03_training, whose copy is to be made anew.
    """
    copies = folder / "my-notebooks"
    copies.mkdir(parents=True, exist_ok=True)
    if folder.resolve() != COURSE:  # what the copies show and link to
        shutil.copytree(COURSE / "Images", folder / "Images", dirs_exist_ok=True)
        for path in [*COURSE.glob("C*.md"), *COURSE.glob("LICENSE*")]:
            shutil.copy(path, folder)
    contents = {path.name: without_outputs(path) for path in sorted(COURSE.glob(CHAPTERS))}
    chapters = [Path(name).stem for name in contents]
    contents |= {name: page(name) for name in PAGES}
    said = [move_aside(copies, fresh, chapters)] if fresh else []
    try:
        record = dict(json.loads(read(copies / RECORD) or "{}"))
    except (ValueError, TypeError):  # cut short: every copy counts as changed by its reader
        record = {}
    for name, content in contents.items():
        stem, newest = Path(name).stem, digest(content)
        versions = record.get(stem, [])
        if versions[-1:] == [newest] and (copies / name).exists():
            continue
        record[stem] = [version for version in versions if version != newest] + [newest]
        laid_out = lay_out(copies, name, content, record[stem])
        if laid_out != name:
            said.append(f"{name} has a newer version; yours stays, and it is beside: {laid_out}")
    write(copies / RECORD, json.dumps(record, indent=1))
    return said


def lay_out(copies: Path, name: str, content: str, versions: list[str]) -> str:
    """Write a copy where nothing of the reader's is lost; return the name of the file."""
    for free in names(name, "new"):
        there = read(copies / free)
        if not there or digest(there) in versions:  # it is as it was laid out
            write(copies / free, content)
            return free
    raise AssertionError("names never end")


def move_aside(copies: Path, wanted: str, chapters: list[str]) -> str:
    """Rename the copy of a chapter, so that it is made anew; return where it is now."""
    found = [name for name in chapters if name.split("_")[0] == wanted.zfill(2) or name == wanted]
    if not found:
        raise ValueError(f"there is no chapter {wanted}; name one of {', '.join(chapters)}")
    path = copies / f"{found[0]}.ipynb"
    if not path.exists():
        return f"{path.name} is made anew"
    free = (name for name in names(path.name, "old") if not (copies / name).exists())
    old = path.rename(copies / next(name for name in free if name != path.name))
    return f"{path.name} is made anew; what you had is kept in {old.name}"


def names(name: str, word: str) -> Iterator[str]:
    """03_training.ipynb, 03_training (new).ipynb, 03_training (new 2).ipynb, ..."""
    stem, dot, kind = name.partition(".")
    yield name
    yield f"{stem} ({word}){dot}{kind}"
    for count in itertools.count(2):
        yield f"{stem} ({word} {count}){dot}{kind}"


def without_outputs(path: Path) -> str:
    """A stored chapter as its reader begins it, written as JupyterLab would write it."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is no notebook (are marks of a conflict in it?): `git checkout -- {path}` "
            "brings it back"
        ) from error
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        cell["source"] = [PAGE_LINK.sub(r"](\1", line) for line in cell["source"]]
    notebook["metadata"].pop("widgets", None)
    notebook["metadata"]["language_info"] = LANGUAGE
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def page(name: str) -> str:
    """README or glossary of the course, the links to chapters leading to the reader's copies."""
    text = read(COURSE / name)
    text = re.sub(r"\]\((?!https?:|#)", "](../", text)
    text = re.sub(r'(src|srcset|href)="(?!https?:|#)', r'\1="../', text)
    return PAGE_LINK.sub(r"](\1", text).replace("](../notebooks/", "](")


def digest(text: str) -> str:
    """Tells versions of a copy apart, but not those of the Python that it was opened with."""
    return hashlib.sha256(re.sub(r'"version": "[\d.]+"', "", text).encode()).hexdigest()


def read(path: Path) -> str:
    """The text of a file; nothing if there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def write(path: Path, text: str) -> None:
    """Write `text`, if it is not there already."""
    if read(path) != text:
        path.write_text(text, encoding="utf-8", newline="\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Copies of the chapters, without outputs.")
    parser.add_argument("folder", nargs="?", type=Path, default=COURSE)
    parser.add_argument("--fresh", metavar="CHAPTER", default="", help="make one anew, as 03")
    options = parser.parse_args()
    try:
        for line in copy_chapters(options.folder, options.fresh):
            print(line)
    except (ValueError, OSError) as error:
        print(f"my-notebooks: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
