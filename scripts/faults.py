"""Try what can go wrong, many times over: `make faults` writes results/faults.json.

Each family below makes its faults for real (kills, signals, damaged files, kernels) and says of
each whether it was survived: an empty string, or in words what went wrong. `make faults
ARGS=--quick` tries a few of each; tests/test_faults.py does so as part of `make test`.
"""

import lenet_helpers as lenet

import argparse
import contextlib
import json
import math
import os
import pickle
import random
import re
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import nbformat
import torch
from jupyter_client.manager import KernelManager
from torch import nn

sys.path.append(str(Path(__file__).parents[1] / "tests"))
sys.path.append(str(Path(__file__).parents[1] / "notebooks"))

import test_data_fetch  # kills fetches, and has the web server for it
from explorers import confusion, convolution, distortion, drawing, epochs, pieces
from mutants import copy_course

COURSE = Path(lenet.__file__).resolve().parent
NOTEBOOKS = COURSE / "notebooks"
REPORT = COURSE / "results" / "faults.json"
figures = {}  # what a family measured on the way; goes into the report


def attempt(what, function, *arguments):
    """An empty string if `function` returns, or in words what it raised."""
    try:
        function(*arguments)
    except (Exception, KeyboardInterrupt) as error:
        return f"{what}: {type(error).__name__}: {error}"
    return ""


def check(holds, otherwise):
    if not holds:
        raise AssertionError(otherwise)


@cache
def some_images(train, count):
    images = lenet.load_images("FashionMNIST", train)
    return lenet.ImageTensors(images.images[:count], images.labels[:count])


def iterators(images=2048, batch_size=256):
    """`train_iter, test_iter` of a few real images: an epoch takes a fraction of a second."""
    return (
        lenet.DataIter(some_images(True, images), batch_size, shuffle=True),
        lenet.DataIter(some_images(False, 512), 256, shuffle=False),
    )


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def refused(action, message, net):
    """Check that `action` raises a ValueError that has `message` in it, and leaves `net` alone."""
    before = state(net)
    try:
        action()
    except ValueError as error:
        found = str(error)
    else:
        raise AssertionError("it was not refused")
    check(re.search(message, found), f"it says {found!r}, which does not name {message!r}")
    check(same(before, state(net)), "weights were changed")


# ---------------------------------------------------------------------------- data


def fetch_killed(moments):
    """kill -9 of a data fetch: no wrong file is taken for good, the next fetch mends it"""
    survived = test_data_fetch.kills_survived(moments)
    return [""] * survived + ["a killed fetch was not mended"] * (moments - survived)


# ---------------------------------------------------------------------------- training


class InterruptAt(lenet.NoCurves):
    """Sends this process the kernel's interrupt so many seconds after training began."""

    def __init__(self, seconds):
        self.timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))

    def start(self, run, lr_adjustable):
        self.timer.start()


def training_interrupted(moments):
    """training interrupted at a random moment of batch, epoch or evaluation"""
    train_iter, test_iter = iterators(768)
    torch.manual_seed(0)
    for _ in range(2):  # the first training takes longer: PyTorch imports what it needs for it
        start = time.perf_counter()
        lenet.train_ch6(lenet.make_lenet(), train_iter, test_iter, 2, 0.5, "cpu")
        two_epochs = time.perf_counter() - start
    chance = random.Random(0)

    def one(seconds):
        net = lenet.make_lenet()
        # It would never end by itself.
        run = lenet.train_ch6(
            net, train_iter, test_iter, 10**6, 0.5, "cpu", curves=InterruptAt(seconds)
        )
        check(re.fullmatch(r"stopped by you in epoch \d+ of 1000000", run.stopped), run.stopped)
        numbers = [*sum(run.train, ()), *sum(run.test, ()), run.loss, run.train_acc, run.test_acc]
        check(run.train and all(map(math.isfinite, numbers)), f"numbers are missing: {numbers}")
        check(len(run.checkpoints) == len(run.test) + 1, "a checkpoint is missing")
        check(same(state(net), run.checkpoints[-1]), "the network is not the last checkpoint")
        X, _ = next(iter(test_iter))
        check(torch.allclose(lenet.predict(net, X).sum(dim=1), torch.tensor(1.0)), "no prediction")
        with tempfile.TemporaryDirectory() as folder:
            lenet.save_weights(net, Path(folder, "net.pt"))
            lenet.save_run(run, Path(folder, "run.pt"))
            check(lenet.load_run(Path(folder, "run.pt")).train == run.train, "the run is not kept")
            again = lenet.load_weights(lenet.make_lenet(), Path(folder, "net.pt"))
        more = lenet.train_ch6(again, train_iter, test_iter, 1, 0.5, "cpu")
        check(not more.stopped and same(more.checkpoints[0], run.checkpoints[-1]), "no going on")

    before = signal.signal(signal.SIGINT, lambda *_: None)  # a late one must not end this program
    try:
        return [
            attempt(f"interrupted after {seconds:.3f} s", one, seconds)
            for seconds in (chance.uniform(0, two_epochs) for _ in range(moments))
        ]
    finally:
        signal.signal(signal.SIGINT, before)


def learning_rates_that_blow_up(count):
    """a learning rate that blows up: training stops, names the epoch and what to try"""

    def one(lr, images, activation, num_epochs=3):
        torch.manual_seed(0)
        net = lenet.make_lenet(activation)
        run = lenet.train_ch6(net, *iterators(images), num_epochs, lr, "cpu")
        what = "(the loss became (nan|inf)|the network's answers are no longer numbers)"
        advice = re.escape(f"start over with a new network and a learning rate below {lr:g}")
        sentence = rf"stopped in epoch [123] of {num_epochs}: {what}; {advice}"
        check(re.fullmatch(sentence, run.stopped), f"it says {run.stopped!r}")
        check(run.train and run.test and len(run.checkpoints) > 1, "the curve is lost")

    cases = [
        (lr, images, activation)
        for images in (256, 512, 2048)  # one batch an epoch, two, eight
        for lr, activation in [(1e38, nn.Sigmoid), (1e30, nn.ReLU), (1e12, nn.ReLU)]
    ]
    cases.insert(0, (1e30, 256, nn.ReLU, 1))  # the only batch, whose own loss is still a number
    return [attempt(f"lr {case[0]:g}, {case[1]} images", one, *case) for case in cases[:count]]


def settings_and_data_that_cannot_work(count):
    """settings and data that cannot work: refused with what is expected and what was found"""
    train_iter, test_iter = iterators(512)
    batches, tests = list(train_iter), list(test_iter)
    (X, y), net = batches[0], lenet.make_lenet()
    images, none = some_images(False, 20), lenet.DataIter(some_images(True, 0), 256, False)
    labels = lenet.FASHION_LABELS
    twelve = lenet.make_lenet()
    twelve[-1] = nn.Linear(84, 12)
    run = lenet.train_ch6(lenet.make_lenet(), batches, tests, 1, 0.1, "cpu")

    def train(train_iter=batches, test_iter=tests, num_epochs=1, lr=0.1, net=net):
        return lenet.train_ch6(net, train_iter, test_iter, num_epochs, lr, "cpu")

    cases = []

    def add(what, message, action, of=net):
        cases.append((what, partial(refused, action, message, of)))

    for lr in (0, -0.1, 1e300, math.nan, math.inf, -math.inf, "0.9", None, True, [0.9]):
        add(f"lr={lr!r}", "lr, the learning rate, must be a number above 0", partial(train, lr=lr))
    for number in (0, -1, 1.5, "10", None, True):
        add(
            f"num_epochs={number!r}", "num_epochs must be a whole number from 1 on",
            partial(train, num_epochs=number),
        )  # fmt: skip
    for size in (0, -1, 2.5, "256"):
        add(
            f"batch_size={size!r}", "batch_size",
            partial(lenet.DataIter, images, size, shuffle=True),
        )  # fmt: skip
    for name in ("train_iter", "test_iter"):
        add(f"empty {name}", f"{name} is empty", partial(train, **{name: none}))
        add(f"{name} a generator", "list of batches", partial(train, **{name: iter(batches)}))
    wrong_batches = {
        "an image without its channel": ((X[:, 0], y), r"\(B, 1, 28, 28\), it has \(256, 28, 28\)"),
        "images of 32 x 32": ((nn.functional.pad(X, (2,) * 4), y), r"it has \(256, 1, 32, 32\)"),
        "colour images": ((X.repeat(1, 3, 1, 1), y), r"it has \(256, 3, 28, 28\)"),
        "bytes": (((X * 255).byte(), y), "must be float32, it is torch.uint8"),
        "doubles": ((X.double(), y), "must be float32, it is torch.float64"),
        "pixels to 255": ((X * 255, y), "must lie in 0..1"),
        "pixels that are no number": ((X / 0, y), "must lie in 0..1"),
        "no images": ((X[:0], y[:0]), "empty"),
        "a numpy array": ((X.numpy(), y), "must be a tensor, it is a ndarray"),
    }
    for what, (wrong, message) in wrong_batches.items():
        wrong_X = wrong[0]
        add(f"{what}, training", message, partial(train, [wrong, *batches]))
        add(f"{what}, test images", message, partial(train, test_iter=[wrong]))
        add(f"{what}, evaluation", message, partial(lenet.evaluate_accuracy_gpu, net, [wrong]))
        add(f"{what}, prediction", message, partial(lenet.predict, net, wrong_X))
        add(
            f"{what}, explorer of the convolution", message,
            partial(convolution.convolution_step, net, wrong_X, 1, 0, 0, 0),
        )  # fmt: skip
        add(f"{what}, explorers", message, partial(pieces.read_image, net, wrong_X))
        add(f"{what}, distortion", message, partial(distortion.distort, wrong_X, turn=3.0))
    for what, wrong_y, message in [
        ("labels to 10", y + 1, "labels must be 0 to 9, these go from 1 to 10"),
        ("labels from -1", y - 1, "labels must be 0 to 9, these go from -1 to 8"),
        ("too few labels", y[:9], r"of shape \(256,\), it is torch.int64 \(9,\)"),
        ("labels as numbers with a point", y.float(), "must be int64"),
        ("labels in a list", y.tolist(), "must be a tensor, it is a list"),
    ]:
        add(f"{what}, training", message, partial(train, [(X, wrong_y), *batches]))
        add(f"{what}, test images", message, partial(train, test_iter=[(X, wrong_y)]))
        add(
            f"{what}, evaluation", message,
            partial(lenet.evaluate_accuracy_gpu, net, [(X, wrong_y)]),
        )  # fmt: skip
    tensors = images.images, images.labels
    for what, wrong, message in [
        ("as float", (tensors[0].float(), tensors[1]), r"must be uint8 .* torch.float32"),
        ("27 wide", (tensors[0][..., 1:], tensors[1]), r"these are torch.uint8 \(20, 28, 27\)"),
        ("with labels to 19", (tensors[0], tensors[1] + 10), "labels must be 0 to 9"),
        ("with too few labels", (tensors[0], tensors[1][:3]), "20 images need as many labels"),
    ]:
        add(f"images {what}", message, partial(lenet.ImageTensors, *wrong))
    for what, action in {
        "training": partial(train, net=twelve),
        "evaluation": partial(lenet.evaluate_accuracy_gpu, twelve, batches),
        "prediction": partial(lenet.predict, twelve, X),
        "the explorer of the convolution": partial(convolution.ConvolutionExplorer, twelve, images),
        "the confusion matrix": partial(confusion.ConfusionExplorer, twelve, images, labels),
        "the distortions": partial(distortion.DistortionExplorer, twelve, images, labels),
        "the drawings": partial(drawing.DrawingExplorer, {"clothes": (twelve, labels)}),
    }.items():
        add(f"twelve outputs, {what}", r"10\).*12\)", action, twelve)
    add(
        "twelve outputs, the epochs", "another network",
        partial(epochs.EpochExplorer, run, images, labels, twelve), twelve,
    )  # fmt: skip
    add("32 x 32, tracing", "expects 784 values", lambda: lenet.trace_shapes(net, X[..., 1:]))
    add("bytes, tracing", "float32 .*uint8", lambda: lenet.trace_shapes(net, (X * 255).byte()))
    add("an array, tracing", "it is a ndarray", lambda: lenet.trace_shapes(net, X.numpy()))
    add("one layer, tracing", "must be a nn.Sequential", lambda: lenet.trace_shapes(net[-1], X))
    for what, action in {
        "the explorer of the convolution": lambda i: convolution.ConvolutionExplorer(net, i),
        "the confusion matrix": lambda i: confusion.ConfusionExplorer(net, i, labels),
        "the epochs": lambda i: epochs.EpochExplorer(run, i, labels),
        "the distortions": lambda i: distortion.DistortionExplorer(net, i, labels),
    }.items():
        add(f"a batch for {what}", "must be lenet.ImageTensors", partial(action, X))
        add(f"no images for {what}", "images is empty", partial(action, none.dataset))

    def trains(images, batch_size):
        run = train(*iterators(images, batch_size), net=lenet.make_lenet())
        check(not run.stopped and run.examples == images, f"{run}")
        check(math.isfinite(run.loss) and run.train[-1][0] == 1, f"{run}")

    # Unusual, and right: one image at a time, all at once, fewer than five batches an epoch.
    for sizes in [(5, 1), (1, 1), (100, 1000), (100, 100), (600, 256), (512, 256)]:
        cases.append((f"{sizes[0]} images in batches of {sizes[1]}", partial(trains, *sizes)))
    random.Random(0).shuffle(cases)
    return [attempt(what, case) for what, case in cases[:count]]


# ---------------------------------------------------------------------------- weights


def saving_killed(moments):
    """kill -9 while weights are written: the old file or the new one, whole"""
    chance, outcomes, halfway = random.Random(0), [], 0
    torch.manual_seed(0)
    nets = [lenet.make_lenet() for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lenet.pt")
        start = time.perf_counter()
        for net in nets * 2:
            lenet.save_weights(net, path)
        two_saves = (time.perf_counter() - start) / 2

        def whole():
            weights = state(lenet.load_weights(lenet.make_lenet(), path))
            check(any(same(weights, state(net)) for net in nets), "it is neither old nor new")

        for _ in range(moments):
            before = len(list(path.parent.iterdir()))
            begun, begins = os.pipe()
            writer = os.fork()
            if writer == 0:  # nothing but saving happens here, until it is killed
                torch.set_num_threads(1)
                lenet.save_weights(nets[0], path)
                os.close(begins)
                while True:
                    for net in nets:
                        lenet.save_weights(net, path)
            os.close(begins)
            os.read(begun, 1)  # comes back when the writer has closed its end
            os.close(begun)
            time.sleep(chance.uniform(0, 2 * two_saves))
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
            left_over = list(path.parent.iterdir())
            halfway += len(left_over) > before
            outcomes.append(attempt("killed while it saved", whole))
        hour_old = time.time() - 3700
        for other in Path(folder).iterdir():
            os.utime(other, (hour_old, hour_old))
        lenet.save_weights(nets[0], path)
        if list(Path(folder).iterdir()) != [path]:
            outcomes[-1] = outcomes[-1] or "half-written files are left over for good"
    figures["saves killed with a file half written"] = halfway
    return outcomes


class Evil:
    """A pickle that runs a command when it is read."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def damaged_weights(count):
    """weights cut short, changed, of another network, or made to run code: refused"""
    chance = random.Random(0)
    torch.manual_seed(0)
    net, shipped = lenet.make_lenet(), NOTEBOOKS / "weights" / "fashion_mnist.pt"
    whole = shipped.read_bytes()
    original = torch.load(shipped, weights_only=True)
    message = r"^it\.pt (is damaged|does not hold|is of another network)"
    with tempfile.TemporaryDirectory() as folder:
        path, trace = Path(folder, "it.pt"), Path(folder, "executed")

        def damaged(content, load):
            path.write_bytes(content)
            try:
                refused(partial(load, path), message, net)
            except AssertionError:
                # Some bytes mean nothing (padding, dates): then the weights are those saved.
                check(same(state(net), original), "damaged weights were taken for good")
                net.load_state_dict(before)
            check(not trace.exists(), "the file's code was executed")

        before = state(net)
        into_net = partial(lenet.load_weights, net)
        cases = [
            (f"cut to {length} bytes", whole[:length])
            for length in [0, 1, 3, 100, len(whole) - 1, len(whole) - 22]
            + [chance.randrange(len(whole)) for _ in range(24)]
        ]
        for at in (chance.randrange(len(whole)) for _ in range(60)):
            changed = bytes([whole[at] ^ (1 << chance.randrange(8))])
            cases.append((f"byte {at} changed", whole[:at] + changed + whole[at + 1 :]))

        def bytes_of(content, **options):
            with tempfile.TemporaryFile() as file:
                torch.save(content, file, **options)
                file.seek(0)
                return file.read()

        evil = {"1.weight": Evil(f"touch '{trace}'")}
        makers = {
            "in torch's format": bytes_of(evil),
            "in torch's old format": bytes_of(evil, _use_new_zipfile_serialization=False),
            **{f"as pickle {p}": pickle.dumps(evil, p) for p in range(6)},
        }
        for what, content in makers.items():
            cases.append((f"code {what}", content))
        for what, other in {
            "with twelve outputs": [*list(net)[:-1], nn.Linear(84, 12)],
            "of other kernels": [net[0], nn.Conv2d(1, 6, 3), *list(net)[2:]],
            "without the last layer": list(net)[:-1],
            "with a layer more": [*net, nn.Linear(10, 10)],
        }.items():
            cases.append((f"a network {what}", bytes_of(nn.Sequential(*other).state_dict())))
        for what, other in {
            "a list": [1, 2], "a number": 3, "a tensor": torch.zeros(3), "numbers": {"1.weight": 3},
            "a whole network": net, "sparse tensors": {n: v.to_sparse() for n, v in before.items()},
            "whole numbers": {n: v.int() for n, v in before.items()},
        }.items():  # fmt: skip
            cases.append((what, bytes_of(other)))
        chance.shuffle(cases)
        outcomes = [attempt(what, damaged, it, into_net) for what, it in cases[:count]]
        outcomes += [
            attempt(f"{what}, as a run", damaged, it, lenet.load_run)
            for what, it in cases[:count]
            if what.startswith("code")
        ]
        # These files are the real thing: read without care, they do run their code.
        pickle.loads(makers["as pickle 2"])
        check(trace.exists(), "the files made to run code would not have run it")
    return outcomes


# ---------------------------------------------------------------------------- kernels


class Kernel:
    """A real kernel in the notebooks' folder; `run` gives what a cell did."""

    def __init__(self, folder=NOTEBOOKS, before=(), **environment):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv = [
            *before, sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
        ]  # fmt: skip
        settings = {"LENET_DEVICE": "cpu", "OMP_NUM_THREADS": "1", **environment}
        self.manager.start_kernel(cwd=str(folder), env={**os.environ, **settings})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=300)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    @property
    def pid(self):
        return self.manager.provisioner.process.pid

    def run(self, source, on_output=lambda output: None, timeout=600):
        """Run a cell. Returns (name of its error or "", its outputs)."""
        outputs = []

        def keep(message):
            if message["msg_type"] != "status":
                outputs.append((message["msg_type"], message["content"]))
                on_output(message["content"])

        try:
            self.client.execute_interactive(
                source, store_history=False, output_hook=keep, timeout=timeout
            )
        except TimeoutError:
            raise AssertionError(f"a cell did not end in {timeout} s") from None
        errors = [content for kind, content in outputs if kind == "error"]
        return (f"{errors[0]['ename']}: {errors[0]['evalue']}" if errors else ""), outputs

    def lives(self):
        error, outputs = self.run("print(6 * 7)")
        return not error and any(content.get("text") == "42\n" for _, content in outputs)

    def restart(self):
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=300)


def cells(chapter):
    """The code cells of chapter 1, 2, 3 or 4 as they stand."""
    (path,) = NOTEBOOKS.glob(f"0{chapter}_*.ipynb")
    return [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]


def run_all(kernel, sources):
    """Run the cells; a list with an outcome each."""
    outcomes = []
    for source in sources:
        error, _ = kernel.run(source)
        outcomes.append(error and f"{source.splitlines()[0]!r}: {error}")
    return outcomes


def kernel_interrupted(moments):
    """■ in a real kernel while it trains: the picture is there, the kernel lives, it goes on"""
    chance = random.Random(0)
    train = (
        "run = lenet.train_ch6(net, train_iter, test_iter, 10**6, 0.5, curves=LiveCurves())\n"
        "print(run.stopped)"
    )
    with Kernel() as kernel:
        error, _ = kernel.run(
            "import lenet_helpers as lenet\n"
            "from lenet_live import LiveCurves\n"
            "part = lambda train, n: (lambda d: lenet.ImageTensors(d.images[:n], d.labels[:n]))("
            "lenet.load_images('FashionMNIST', train))\n"
            "train_iter = lenet.DataIter(part(True, 2048), 256, shuffle=True)\n"
            "test_iter = lenet.DataIter(part(False, 512), 256, shuffle=False)\n"
            "net = lenet.make_lenet()\n"
            # The first training of a kernel imports what it needs; an interrupt there ends it.
            "lenet.train_ch6(net, train_iter, test_iter, 1, 0.5)"
        )
        check(not error, error)

        def one(seconds):
            timers = []

            def begun(output):
                if "data" in output and not timers:  # the curves are there: training has begun
                    timers.append(threading.Timer(seconds, kernel.manager.interrupt_kernel))
                    timers[0].start()

            error, outputs = kernel.run(train, begun, timeout=120)
            check(not error, error)
            shown = [content.get("data", {}) for _, content in outputs]
            said = "".join(content.get("text", "") for _, content in outputs)
            check(said.startswith("stopped by you in epoch"), f"it says {said!r}")
            check(any("image/png" in data for data in shown), "the curves' picture is missing")
            error, outputs = kernel.run(
                "import math\n"
                "assert run.train and math.isfinite(run.loss) and 0 <= run.test_acc <= 1\n"
                "assert lenet.predict(net, next(iter(test_iter))[0]).shape == (256, 10)\n"
                "assert not lenet.train_ch6(net, train_iter, test_iter, 1, 0.5).stopped"
            )
            check(not error, error)
            check(kernel.lives(), "the kernel is dead")

        return [
            attempt(f"interrupted after {seconds:.2f} s", one, seconds)
            for seconds in (chance.uniform(0, 1.5) for _ in range(moments))
        ]


def chapters_out_of_order(count):
    """cells of chapters 1 and 2 run again in random order, after a full run"""
    outcomes = []
    for chapter in (1, 2):
        sources = cells(chapter)
        with Kernel() as kernel:
            first = [error for error in run_all(kernel, sources) if error]
            check(not first, f"chapter {chapter} does not run: {first}")
            random.Random(chapter).shuffle(sources)
            outcomes += run_all(kernel, sources[:count])
            check(kernel.lives(), "the kernel is dead")
    return outcomes


def chapters_twice(_):
    """a chapter run twice in one kernel, and chapters 1 and 2 at once in two"""

    def twice(chapter):
        with Kernel() as kernel:
            return run_all(kernel, cells(chapter) * 2)

    with ThreadPoolExecutor() as both:
        return [outcome for outcomes in both.map(twice, (1, 2)) for outcome in outcomes]


def kernel_restarted(moments):
    """a kernel restarted in the middle of a chapter: a NameError at most, then from the top"""
    outcomes, chance = [], random.Random(0)
    with Kernel() as kernel:
        for chapter in (1, 2):
            sources = cells(chapter)

            def one(place, sources=sources):
                kernel.run(sources[0])
                kernel.restart()
                error, _ = kernel.run(sources[place])
                check(error == "" or error.startswith("NameError"), error)
                check(kernel.lives(), "the kernel is dead")
                check(not kernel.run(sources[0])[0], "it does not start again")

            for place in (chance.randrange(1, len(sources)) for _ in range(moments)):
                outcomes.append(attempt(f"restarted before cell {place}", one, place))
    return outcomes


def read_only_course(_):
    """a course folder without rights to it, the data elsewhere: chapters run, and write at home"""
    before = []
    if os.getuid() == 0:  # root may write anywhere, so it gives up that right
        if not shutil.which("setpriv"):
            print("  not tried: this is root, and setpriv is not here to give up root's rights")
            return []
        before = ["setpriv", "--bounding-set", "-dac_override"]
    with tempfile.TemporaryDirectory() as folder:
        course, home = copy_course(Path(folder, "course")), Path(folder, "home")
        data = (course / "data").resolve()
        (course / "data").unlink()
        home.mkdir()
        everything = [course, *course.rglob("*")]
        for path in everything:
            path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
        environment = {
            "HOME": str(home), "LENET_DATA": str(data), "PYTHONPATH": str(course),
            "LENET_RUNS": "", "IPYTHONDIR": str(home / ".ipython"), "MPLCONFIGDIR": str(home),
        }  # fmt: skip
        try:
            outcomes = []
            for chapter in (1, 2):
                with Kernel(course / "notebooks", before, **environment) as kernel:
                    outcomes += run_all(kernel, cells(chapter))
            with Kernel(course / "notebooks", before, **environment) as kernel:
                # Chapter 3 without its ten epochs: what it reads, and what it saves.
                error, _ = kernel.run(f"open('{course}/notebooks/mine', 'w')")
                check("PermissionError" in error, f"the folder is not read-only: {error!r}")
                sources = cells(3)
                until = next(i for i, cell in enumerate(sources) if "InterruptAfterThree" in cell)
                saving = [source for source in sources if source.startswith("lenet.save_")]
                outcomes += run_all(kernel, [*sources[:until], "net = same_net", *saving])
            outcomes.append(attempt("what chapter 3 saves", check_runs, home / "lenet-runs"))
        finally:
            for path in everything:
                path.chmod(path.stat().st_mode | stat.S_IWUSR)
    return outcomes


def check_runs(folder):
    lenet.load_weights(lenet.make_lenet(), folder / "fashion_mnist.pt")
    lenet.load_run(folder / "fashion_mnist_run.pt")


def class_at_once(count):
    """a class of 20 kernels at once, each evaluating and stepping through chapter 2"""
    evaluate = (
        "trained = lenet.load_weights(lenet.make_lenet(), lenet.find_weights('fashion_mnist.pt'))\n"
        "_, test_iter = lenet.load_data_fashion_mnist(256)\n"
        "assert lenet.evaluate_accuracy_gpu(trained, test_iter) > 0.74"
    )
    with contextlib.ExitStack() as all_kernels, ThreadPoolExecutor(count) as students:
        kernels = list(students.map(lambda _: Kernel(), range(count)))
        for kernel in kernels:
            all_kernels.enter_context(kernel)
        sources = cells(2)
        sources.insert(1, evaluate)
        found = list(students.map(lambda kernel: run_all(kernel, sources), kernels))
        memory = [memory_of(kernel.pid) for kernel in kernels]
    if all(memory):
        figures["MB a kernel"] = round(max(memory) / 1e6)
    return [" ".join(filter(None, outcomes)) for outcomes in found]


def memory_of(pid):
    """Bytes of memory of a process, what it shares divided among those that share it; Linux."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return 1024 * int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1])


# ---------------------------------------------------------------------------- all of them


MANY = 10**6
FAMILIES = [  # with how many are tried, and how many with --quick (0: it takes too long for that)
    (fetch_killed, 25, 0),
    (training_interrupted, 60, 5),
    (kernel_interrupted, 6, 0),
    (learning_rates_that_blow_up, MANY, 4),
    (settings_and_data_that_cannot_work, MANY, MANY),
    (saving_killed, 60, 10),
    (damaged_weights, MANY, MANY),
    (chapters_out_of_order, MANY, 0),
    (chapters_twice, MANY, 0),
    (kernel_restarted, 4, 0),
    (read_only_course, MANY, 0),
    (class_at_once, 20, 0),
]


def write(report):
    """Put what was found in results/faults.json; families that were not tried keep their line."""
    old = json.loads(REPORT.read_text()) if REPORT.exists() else {"families": {}, "figures": {}}
    known = old["families"] | report
    families = {f.__doc__: known[f.__doc__] for f, *_ in FAMILIES if f.__doc__ in known}
    content = {"families": families, "figures": old["figures"] | figures}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description="Try what can go wrong.")
    parser.add_argument("words", nargs="*", help="only families with one of these in their name")
    parser.add_argument("--quick", action="store_true", help="a few of each")
    args = parser.parse_args()
    report = {}
    for family, many, few in FAMILIES:
        count = few if args.quick else many
        if not count or (args.words and not any(word in family.__name__ for word in args.words)):
            continue
        start = time.perf_counter()
        try:
            outcomes = family(count)
        except AssertionError as error:
            outcomes = [str(error)]
        survived = outcomes.count("")
        seconds = time.perf_counter() - start
        print(f"{survived:4} of {len(outcomes):4}  {family.__doc__}  ({seconds:.0f} s)", flush=True)
        for failure in filter(None, outcomes):
            print(f"      {failure}")
        report[family.__doc__] = {"tried": len(outcomes), "survived": survived}
        if not args.quick:
            write(report)
    tried, survived = (sum(line[key] for line in report.values()) for key in ("tried", "survived"))
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    print(f"faults: {survived} of {tried} survived")
    return survived != tried


if __name__ == "__main__":
    sys.exit(main())
