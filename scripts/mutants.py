"""Plant mistakes in the course, one at a time, and count those that the tests find: `make mutants`.

tests/mutants.tsv has a row for each: the file, the text as it is (once in the file, or in the cells
of the notebook), the text with the mistake, and what is wrong with it. `⏎` stands for a new line.
Words on the command line choose rows that contain one of them. What was found goes to
results/mutants.json, row by row, so that a run can be stopped and gone on with.
"""

import argparse
import csv
import json
import multiprocessing
import os
import queue
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

COURSE = Path(__file__).resolve().parents[1]
TABLE = COURSE / "tests" / "mutants.tsv"
REPORT = COURSE / "results" / "mutants.json"
TOO_LONG = 1800  # seconds; a mutant that never ends is killed, too
# What is run for a mutant of a file: the first pattern that fits says which tests.
TESTS = {
    r"lenet_helpers\.py": "tests/test_helpers_*.py tests/test_saved.py tests/test_against_d2l.py",
    r"lenet_course/(speed|checks|data_files)\.py": "tests/test_helpers_*.py tests/test_fuzz.py",
    r"lenet_course/saved\.py": "tests/test_saved.py tests/test_fuzz.py",
    r"lenet_course/drawing\.py": "tests/test_drawing.py tests/test_curves.py "
    "tests/test_explorers.py",
    r"lenet_course/curves\.": "tests/test_curves.py",
    r"(lenet_course/(explorers/)?|scripts/study_)lenet5": "tests/test_lenet5.py",
    r"lenet_course/explorers/": "tests/test_explorers.py",
    r"lenet_course/exercises/": "tests/test_exercises.py",
    r"scripts/(make_env|open_lab)": "tests/test_setup.py",
    r"scripts/my_notebooks": "tests/test_my_notebooks.py tests/test_setup.py",
    r"scripts/fetch_data": "tests/test_data_fetch.py",
    r"scripts/save_notebooks": "tests/test_save_notebooks.py",
    r"scripts/(images|draw_.*)": "tests/test_images.py",
    r"scripts/fill_readme": "tests/test_readme.py",
    r"scripts/study_baselines": "tests/test_study_baselines.py",
    r"tests/nbval_plugin": "tests/test_plugin.py",
    r"tests/claims/__init__": "tests/test_notebooks.py",
    r"(notebooks/.*\.ipynb)": r"tests/test_notebooks.py \1",
}


def mutants() -> list[dict]:
    """The rows of the table, as dicts: file, old, new, why."""
    with open(TABLE, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [{key: value.replace("⏎", "\n") for key, value in row.items()} for row in rows]


def paths_for(file: str) -> list[str]:
    for pattern, tests in TESTS.items():
        match = re.match(pattern, file)
        if match:
            return [
                str(path.relative_to(COURSE))
                for glob in match.expand(tests).split()
                for path in sorted(COURSE.glob(glob))
            ]
    raise ValueError(f"{file}: no tests are named for it")


def copy_course(folder: Path) -> Path:
    """The course as it stands in the working tree, with a link to the data."""
    left_out = shutil.ignore_patterns(
        ".git",
        ".venv",
        ".*cache",
        ".hypothesis",
        "data",
        "build",
        "runs",
        "my-notebooks",
        "__pycache__",
    )
    shutil.copytree(COURSE, folder, ignore=left_out)
    (folder / "build").mkdir()
    (folder / "data").symlink_to((COURSE / "data").resolve())
    return folder


def planted(text: str, file: str, old: str, new: str) -> str:
    """`text`, what `file` holds, with the mistake. Raises ValueError unless `old` is there once."""
    if not file.endswith(".ipynb"):
        parts, join = [text], "".join
    else:
        notebook = json.loads(text)
        parts = ["".join(cell["source"]) for cell in notebook["cells"]]

        def join(changed):
            for cell, source in zip(notebook["cells"], changed, strict=True):
                cell["source"] = source.splitlines(keepends=True)
            return json.dumps(notebook, ensure_ascii=False)

    if sum(part.count(old) for part in parts) != 1:
        raise ValueError(f"{file}: {old!r} is in it {sum(p.count(old) for p in parts)} times")
    return join([part.replace(old, new) for part in parts])


def in_a_new_process(folder: Path, paths: Sequence[str], log: Path) -> None:
    """Run pytest on `paths` in the copy of the course, and write what it says to `log`."""
    os.setsid()
    with open(log, "w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    os.environ.update(
        PYTHONPATH=str(folder),  # for the kernels: the copy's modules, not those installed
        LENET_RUNS=str(folder / "build" / "runs"),
        LENET_DEVICE="cpu",
        JUPYTER_PREFER_ENV_PATH="1",
    )
    sys.path[:] = [str(folder), *(p for p in sys.path if Path(p or ".").resolve() != COURSE)]
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", f"--rootdir={folder}"]
    options += ["--nbval", "--nbval-sanitize-with", "tests/nbval_sanitize.cfg"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # what is loaded before pytest
    # They know any change of a chapter's code, until `make notebooks`: that would be too easy.
    too_easy = "test_saved_by_a_clean_run", "test_damage_is_found"
    options += [f"--deselect=tests/test_notebooks.py::{test}" for test in too_easy]
    sys.exit(pytest.main([*options, *paths]))


# Importing torch and d2l takes longer than most tests: a process that has them, to make copies of.
READY = multiprocessing.get_context("forkserver")
READY.set_forkserver_preload(["pytest", "nbval.plugin", "hypothesis", "torch", "d2l.torch"])


def first_failure(folder: Path, paths: Sequence[str]) -> str:
    """The first test that fails in the copy of the course, or "" if all pass."""
    log = folder / "build" / "log"
    tests = READY.Process(target=in_a_new_process, args=(folder, paths, log))
    tests.start()
    tests.join(TOO_LONG)
    if tests.is_alive():
        os.killpg(tests.pid, signal.SIGKILL)  # with its kernels
        return f"no end after {TOO_LONG} s"
    if tests.exitcode == 0:
        return ""
    output = log.read_text(encoding="utf-8")
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)
    return failed[1] if failed else output.strip().splitlines()[-1][:120]


def judge(folder: Path, mutant: dict) -> str:
    """Plant the mistake in the copy of the course; what killed it, or "" if it survived."""
    path = folder / mutant["file"]
    original = path.read_text(encoding="utf-8")
    path.write_text(planted(original, **{k: mutant[k] for k in ("file", "old", "new")}), "utf-8")
    try:
        return first_failure(folder, paths_for(mutant["file"]))
    finally:
        path.write_text(original, encoding="utf-8")


def judge_all(table: dict[str, dict], processes: int) -> Iterator[tuple[str, str]]:
    """The key of each mutant of `table` with what killed it, as they come; several at a time."""
    copies = queue.Queue()
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(processes) as pool:
        for number in range(processes):
            copies.put(copy_course(Path(temporary, str(number), "course")))

        def in_a_copy(act: Callable, argument: Any) -> str:
            folder = copies.get()
            try:
                return act(folder, argument)
            finally:
                copies.put(folder)

        sound = {tuple(paths_for(mutant["file"])) for mutant in table.values()}
        for failed in pool.map(partial(in_a_copy, first_failure), sound):
            if failed:
                sys.exit(f"{failed} fails without any mutant: nothing can be said")
        trials = {pool.submit(in_a_copy, judge, mutant): key for key, mutant in table.items()}
        for trial in as_completed(trials):
            yield trials[trial], trial.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "words", nargs="*", default=[""], help="only mutants in whose row one of these is"
    )
    parser.add_argument("--new", action="store_true", help="only those that were not tried yet")
    parser.add_argument("--processes", type=int, default=1, help="mutants at a time")
    args = parser.parse_args()
    # Before torch: one thread each. And two mutants of one second look alike to Python.
    os.environ.update(OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
    table = {f"{mutant['file']}: {mutant['why']}": mutant for mutant in mutants()}
    known = json.loads(REPORT.read_text("utf-8")) if REPORT.exists() else {}
    known = {key: known[key] for key in table if key in known}
    chosen = {
        key: mutant
        for key, mutant in table.items()
        if any(word in " ".join(mutant.values()) for word in args.words)
        and not (args.new and key in known)
    }
    for key, killed_by in judge_all(chosen, args.processes):
        known[key] = killed_by
        print(f"{key}: {f'killed by {killed_by}' if killed_by else 'SURVIVED'}", flush=True)
        found = {key: known[key] for key in table if key in known}
        REPORT.write_text(json.dumps(found, indent=0, ensure_ascii=False) + "\n", "utf-8")
    killed = sum(bool(by) for by in known.values())
    print(f"mutants: {killed} of {len(known)} killed, {len(table) - len(known)} not tried")


if __name__ == "__main__":
    main()
