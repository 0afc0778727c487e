"""Plant one mistake after the other, and see whether the tests find it: `make mutants`.

Each mutant is one line of scripts/mutants.toml: a line of the course changed, in a copy of it. The
tests run in the order in which they are likely to find it soonest: those of the helper module,
then the notebooks, the quick ones first; the first failure ends it. A notebook is judged by nbval
alone: that its code was changed after it was run (tests/test_notebooks.py) is found too easily.
Whatever is run, the unchanged course has to pass it first.

    make mutants                              all of them
    make mutants ARGS="zero_grad pooling"     those whose file, name or reason has one of the words
    make mutants ARGS="--list"                no tests, only the list

Ends with the line `mutants: N of M caught`. What was found goes to results/mutants.json; a run of
some of them changes only theirs.
"""

import argparse
import json
import multiprocessing
import os
import queue
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

COURSE = Path(__file__).resolve().parent.parent
TABLE = COURSE / "scripts" / "mutants.toml"
MUTANTS = tomllib.loads(TABLE.read_text(encoding="utf-8"))["mutant"]
REPORT = COURSE / "results" / "mutants.json"
TOO_LONG = 1800  # seconds; a mutant that never ends is found, too

HELPERS = [
    "tests/test_helpers_network.py",
    "tests/test_helpers_shapes.py",
    "tests/test_helpers_weights.py",
    "tests/test_helpers_accuracy.py",
    "tests/test_helpers_training.py",
    "tests/test_helpers_device.py",
]
D2L = ["tests/test_helpers_data.py", "tests/test_against_d2l.py"]  # importing d2l takes a while
NETWORK, SHAPES, TRAINING, EVALUATION = (
    f"notebooks/{name}.ipynb"
    for name in ("01_network", "02_shape_tracing", "03_training", "04_evaluation")
)
# What is run for a mutant of a file, one after the other until something fails.
STAGES = {
    "lenet_helpers.py": [
        HELPERS, D2L, [NETWORK, SHAPES], [EVALUATION], [TRAINING],
    ],
    "lenet_live.py": [["tests/test_live.py"], [TRAINING]],
    **{notebook: [[notebook]] for notebook in (NETWORK, SHAPES, TRAINING, EVALUATION)},
}  # fmt: skip


def copy_course(folder):
    """The course as it stands in the working tree, with a link to the data."""
    left_out = shutil.ignore_patterns(".*", "data", "build", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(COURSE, folder, ignore=left_out)
    (folder / "build").mkdir()
    for results in COURSE.glob("results/*.json"):  # which chapters show
        shutil.copy(results, folder / "build")
    (folder / "data").symlink_to(Path(os.environ.get("LENET_DATA") or COURSE / "data").resolve())
    return folder


def plant(folder, mutant):
    """Change the line; return a function that changes it back."""
    path = folder / mutant["file"]
    original = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        notebook = json.loads(original)
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]) for cell in cells]
        counts = [source.count(mutant["old"]) for source in sources]
    else:
        sources, counts = [original], [original.count(mutant["old"])]
    if sum(counts) != 1:
        raise ValueError(
            f"{mutant['name']}: its line is {sum(counts)} times in {path.name}, not once"
        )
    place = counts.index(1)
    changed = sources[place].replace(mutant["old"], mutant["new"])
    if path.suffix == ".ipynb":
        cells[place]["source"] = changed.splitlines(keepends=True)
        changed = json.dumps(notebook, ensure_ascii=False)
    path.write_text(changed, encoding="utf-8")
    return lambda: path.write_text(original, encoding="utf-8")


def run_tests(folder, paths):
    """What fails first of `paths` in the copy of the course in `folder`, or "" if nothing does."""
    runs, log = folder / "build" / "runs", folder / "build" / "log"
    shutil.rmtree(runs, ignore_errors=True)
    runs.mkdir()
    tests = READY.Process(target=in_a_new_process, args=(folder, paths, log))
    tests.start()
    tests.join(TOO_LONG)
    if tests.is_alive():
        os.killpg(tests.pid, signal.SIGKILL)  # with its kernels
        tests.join()
        return f"no end after {TOO_LONG} s"
    if tests.exitcode == 0:
        return ""
    output = log.read_text(encoding="utf-8")
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)
    if not failed:
        sys.exit(f"pytest itself failed:\n{output}")
    return failed[1]


# Importing torch and d2l takes longer than most tests: a process that has them, to make copies of.
READY = multiprocessing.get_context("forkserver")
READY.set_forkserver_preload(["pytest", "nbval.plugin", "hypothesis", "torch", "d2l.torch"])


def in_a_new_process(folder, paths, log):
    """Run pytest in the copy of the course in `folder`, and write what it says to `log`."""
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
    sys.path.insert(0, str(folder))
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", f"--rootdir={folder}"]
    options += ["--nbval", "--nbval-sanitize-with", "tests/nbval_sanitize.cfg"]
    sys.exit(pytest.main([*options, *paths]))


class Unchanged:
    """The course without any mutant, in `folder`: what fails there says nothing about a mutant."""

    def __init__(self, folder):
        self.folder, self.passed, self.one_at_a_time = folder, set(), threading.Lock()

    def demand(self, paths):
        with self.one_at_a_time:
            new = [path for path in paths if path not in self.passed]
            failed = run_tests(self.folder, new) if new else ""
            if failed:
                sys.exit(f"{failed} fails without any mutant: nothing can be said about mutants")
            self.passed.update(new)


def judge(mutant, folder, unchanged):
    """`mutant` with `caught_by`, the test that failed first or "", and the `seconds` it took."""
    first = [[mutant["first"]]] if "first" in mutant else []
    seconds = 0
    for paths in first + STAGES[mutant["file"]]:
        unchanged.demand(paths)
        start = time.perf_counter()
        mend = plant(folder, mutant)
        try:
            caught_by = run_tests(folder, paths)
        finally:
            mend()
        seconds += time.perf_counter() - start
        if caught_by:
            break
    return {**mutant, "caught_by": caught_by, "seconds": round(seconds)}


def choose(mutants, words):
    def text(mutant):
        return " ".join(mutant.values())

    return [m for m in mutants if not words or any(word in text(m) for word in words)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only mutants in whose entry one of these is")
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once, with a thread each")
    args = parser.parse_args()
    mutants = choose(MUTANTS, args.words)
    if args.list:
        for mutant in mutants:
            print(f"{mutant['file']}: {mutant['name']}: {mutant['old']!r} -> {mutant['new']!r}")
        return
    # Before torch: no processor time spent on waiting. And two mutants of one second look alike.
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0", PYTHONDONTWRITEBYTECODE="1")
    if args.jobs > 1:
        os.environ.update(OMP_NUM_THREADS="1")

    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(args.jobs) as workers:
        unchanged = Unchanged(copy_course(Path(temporary, "course")))
        folders = queue.SimpleQueue()
        for job in range(args.jobs):
            folders.put(copy_course(Path(temporary, f"course {job}")))

        def in_a_copy(mutant):
            folder = folders.get()
            try:
                return judge(mutant, folder, unchanged)
            finally:
                folders.put(folder)

        results = []
        for result in workers.map(in_a_copy, mutants):
            results.append(result)
            found = f"caught by {result['caught_by']}" if result["caught_by"] else "NOT CAUGHT"
            print(f"{result['name']}: {found} ({result['seconds']} s)", flush=True)
            write_report(results)

    missed = [result for result in results if not result["caught_by"]]
    for mutant in missed:
        print(f"not caught: {mutant['file']}, {mutant['name']}: {mutant.get('reason', '?')}")
    print(f"mutants: {len(results) - len(missed)} of {len(results)} caught")


def write_report(results):
    """Put `results` into results/mutants.json, and keep those of other mutants that still exist."""

    def key(mutant):
        return tuple(mutant[field] for field in ("file", "name", "old", "new"))

    earlier = json.loads(REPORT.read_text(encoding="utf-8"))["results"] if REPORT.exists() else []
    known = {key(result): result for result in [*earlier, *results]}
    kept = [known[key(mutant)] for mutant in MUTANTS if key(mutant) in known]
    caught = sum(bool(result["caught_by"]) for result in kept)
    content = {"mutants": len(kept), "caught": caught, "results": kept}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
