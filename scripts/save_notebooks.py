"""Run the notebooks from top to bottom and save them with their outputs: `make notebooks`.

All of them, or those named: `make notebooks ARGS=notebooks/04_evaluation.ipynb`. Nothing is written
unless every cell of every one of them ran. What the chapters save on the way (trained weights)
goes to notebooks/weights/: shipped weights are made by the chapters' own code.

Into each notebook's metadata goes a fingerprint of the code that was run. tests/test_notebooks.py
compares it with the code that is there, and so notices a cell that was changed afterwards, even
where only a picture depends on it.
"""

from lenet_course.drawing import store_picture

import argparse
import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import my_notebooks
import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from kept_pictures import VIEW as WIDGET_VIEW
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

COURSE = Path(__file__).resolve().parent.parent
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    # The keys that a kernel gives, so that opening a chapter does not mark it as changed.
    "language_info": my_notebooks.LANGUAGE,
}


def fingerprint(notebook: NotebookNode) -> str:
    """A checksum of what the code cells of `notebook` do: not of their layout or comments."""
    magics = TransformerManager()  # makes Python of `%` and `!` lines
    codes = [
        ast.unparse(ast.parse(magics.transform_cell(cell.source)))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    return hashlib.sha256("\f".join(codes).encode()).hexdigest()


def run(notebook: NotebookNode, folder: Path, timeout: int) -> None:
    """Run `notebook` from a fresh kernel in `folder`; its outputs are replaced."""
    NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    ).execute(stderr=subprocess.DEVNULL)  # what cells write there is an output, and kept


def tidy(notebook: NotebookNode) -> None:
    """Keep what a reader sees at rest: no widgets, nothing of the machine it ran on."""
    for cell in notebook.cells:
        # "trusted", "collapsed", "execution": what editors leave behind. The rest is the author's.
        kept = [key for key in ("tags", "jupyter") if key in cell.metadata]
        cell.metadata = {key: cell.metadata[key] for key in kept}
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
            store_picture(output)
    notebook.metadata = nbformat.from_dict({**METADATA, "lenet": {"code": fingerprint(notebook)}})


def save(notebook: NotebookNode, path: Path) -> None:
    """Write `notebook` to `path`, whole or not at all."""
    nbformat.validate(notebook)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        new = Path(folder, path.name)
        nbformat.write(notebook, new)
        shutil.copymode(path, new)
        os.replace(new, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run notebooks and save them with their outputs.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="without any: all of the course")
    parser.add_argument("--timeout", type=int, default=1200, help="seconds a cell may take")
    args = parser.parse_args()
    for path in args.notebooks:
        if not path.is_file():
            parser.error(f"there is no {path}")
    paths = [path.resolve() for path in args.notebooks] or sorted(COURSE.glob("notebooks/*.ipynb"))

    weights = COURSE / "notebooks" / "weights"
    with tempfile.TemporaryDirectory() as runs:
        # On the CPU, where everyone gets the same numbers; the kernel of this environment.
        os.environ.update(LENET_RUNS=runs, LENET_DEVICE="cpu", JUPYTER_PREFER_ENV_PATH="1")
        done = []
        for path in paths:
            start = time.perf_counter()
            notebook = nbformat.read(path, as_version=4)
            try:
                run(notebook, path.parent, args.timeout)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                sys.exit(f"{error}\n{path.name}: it does not run, so no notebook was saved")
            tidy(notebook)
            done.append((notebook, path))
            count = sum(cell.cell_type == "code" for cell in notebook.cells)
            print(f"{path.name}: {count} cells run in {time.perf_counter() - start:.0f} s")
        for notebook, path in done:
            save(notebook, path)
        for made in sorted(Path(runs).iterdir()):
            weights.mkdir(exist_ok=True)
            shutil.copy(made, weights / f".{made.name}")
            os.replace(weights / f".{made.name}", weights / made.name)
            print(f"notebooks/weights/{made.name}: made by this run")


if __name__ == "__main__":
    main()
