"""Real kernels that are interrupted, restarted, confused, read-only, or twenty at once."""

import lenet_helpers as lenet
from lenet_course import saved

import os
import random
import shutil
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import nbformat
import pytest
from kernel import COURSE, Kernel
from mutants import copy_course

CHANCE = random.Random(0)
MOMENTS = [CHANCE.uniform(0, 1.5) for _ in range(6)]  # seconds
Student = partial(Kernel, LENET_DEVICE="cpu", OMP_NUM_THREADS="1")


@cache
def cells(chapter):
    """The code cells of a chapter as they stand."""
    (path,) = (COURSE / "notebooks").glob(f"0{chapter}_*.ipynb")
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def run_all(kernel, sources):
    """Run the cells; what failed, a line each."""
    found = [(source.splitlines()[0], kernel.run(source)[0]) for source in sources]
    return [f"{first_line!r}: {error}" for first_line, error in found if error]


@pytest.fixture(scope="module")
def training_kernel():
    with Student() as kernel:
        kernel.printed("""
import lenet_helpers as lenet
from itertools import islice
from lenet_course.curves import LiveCurves
data = lenet.load_data_fashion_mnist(256)
train_iter, test_iter = (list(islice(part, 4)) for part in data)
net = lenet.make_lenet()
lenet.train_ch6(net, train_iter, test_iter, 1, 0.5)  # the first loads what training needs
""")
        yield kernel


@pytest.mark.parametrize("seconds", MOMENTS)
def test_interrupted(training_kernel, seconds):
    """■ in a real kernel while it trains: the picture is there, the kernel lives, it goes on"""
    timers = []

    def interrupt_soon(content):
        if "data" in content and not timers:  # the curves are there: training has begun
            timers.append(threading.Timer(seconds, training_kernel.manager.interrupt_kernel))
            timers[0].start()

    error, outputs = training_kernel.run(
        "run = lenet.train_ch6(net, train_iter, test_iter, 10**6, 0.5, callback=LiveCurves())\n"
        "print(run.stopped)",
        interrupt_soon,
    )
    printed = "".join(content.get("text", "") for _, content in outputs)
    assert not error and "stopped in epoch" in printed
    assert any("image/png" in str(content.get("data")) for _, content in outputs)
    training_kernel.printed(
        "import math\n"
        "assert run.train and math.isfinite(run.loss) and 0 <= run.test_acc <= 1\n"
        "assert not lenet.train_ch6(net, train_iter, test_iter, 1, 0.5).stopped"
    )


@pytest.mark.parametrize("chapter", [1, 2])
def test_out_of_order(chapter):
    """chapters 1 and 2 run twice in one kernel, then once more in random order"""
    shuffled = random.Random(chapter).sample(cells(chapter), k=len(cells(chapter)))
    with Student() as kernel:
        for sources in (cells(chapter), cells(chapter), shuffled):
            assert not run_all(kernel, sources)


@pytest.mark.parametrize("injected", ["num_epochs = 1", "seed, lr, num_epochs = 3, 30.0, 2"])
def test_other_parameters(injected, tmp_path):
    """chapter 3 with other parameters, as papermill injects them, then chapter 4: no error"""
    sources = cells(3)
    (place,) = (i for i, source in enumerate(sources) if source.startswith("seed = "))
    with Student(LENET_RUNS=str(tmp_path)) as kernel:
        assert not run_all(kernel, [*sources[: place + 1], injected, *sources[place + 1 :]])
    with Student(LENET_RUNS=str(tmp_path)) as kernel:
        assert not run_all(kernel, cells(4))


@pytest.mark.parametrize("chapter", [1, 2])
def test_restarted(chapter):
    """a kernel restarted in the middle of a chapter: a NameError at most, then from the top"""
    sources, chance = cells(chapter), random.Random(0)
    with Student() as kernel:
        for place in (chance.randrange(1, len(sources)) for _ in range(4)):
            kernel.run(sources[0])
            kernel.restart()
            error, _ = kernel.run(sources[place])
            assert not error or error.startswith("NameError")
            assert not kernel.run(sources[0])[0]


@pytest.fixture
def read_only_course(tmp_path):
    """A copy of the course that nobody may write to, and a home folder."""
    course, home = copy_course(tmp_path / "course"), tmp_path / "home"
    home.mkdir()
    (course / "data").unlink()
    everything = [course, *course.rglob("*")]
    for path in everything:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    yield course, home
    for path in everything:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def test_read_only(read_only_course):
    """a course folder without rights to it, the data elsewhere: chapters run, and write at home"""
    course, home = read_only_course
    before = []
    if os.getuid() == 0:  # root may write anywhere, so it gives up that right
        if not shutil.which("setpriv"):
            pytest.skip("this is root, and setpriv is not here to give up root's rights")
        before = ["setpriv", "--bounding-set", "-dac_override"]
    environment = {
        "HOME": str(home), "LENET_DATA": str((lenet.COURSE / "data").resolve()),
        "PYTHONPATH": str(course), "LENET_RUNS": "", "IPYTHONDIR": str(home / ".ipython"),
        "MPLCONFIGDIR": str(home),
    }  # fmt: skip
    with Student(course / "notebooks", before, **environment) as kernel:
        assert not run_all(kernel, cells(1) + cells(2))
        assert "PermissionError" in kernel.run(f"open('{course}/notebooks/mine', 'w')")[0]
        kernel.printed(
            "import lenet_helpers as lenet\nfrom lenet_course import saved\n"
            "saved.save_weights(lenet.make_lenet(), saved.runs_folder() / 'mine.pt')"
        )
    saved.load_weights(lenet.make_lenet(), home / "lenet-runs" / "mine.pt")


def test_class_at_once():
    """a class of 20 kernels at once, each evaluating and stepping through chapter 2"""
    evaluate = (
        "from lenet_course import saved\n"
        "trained = saved.load_weights(lenet.make_lenet(), saved.find_weights('fashion_mnist.pt'))\n"
        "_, test_iter = lenet.load_data_fashion_mnist(256)\n"
        "assert lenet.evaluate_accuracy_gpu(trained, test_iter) > 0.74"
    )
    first, *others = cells(2)

    def student(_):
        with Student() as kernel:
            return run_all(kernel, [first, evaluate, *others])

    with ThreadPoolExecutor(20) as students:
        assert not any(students.map(student, range(20)))
