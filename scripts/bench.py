"""Measure the course against the lesson's own code: `make bench` writes results/bench.json.

Three ways to train LeNet on Fashion-MNIST take turns, each in a fresh Jupyter kernel on the CPU:

    lesson   d2l's loader, d2l's Animator, d2l.train_ch6: the lesson as it stands
    course   lenet_helpers with LiveCurves, as in chapter 3
    bare     forward pass, backward pass and step alone, on batches that are ready in memory

Then the memory of each, two trainings at once, and, where Chromium is installed, training in
JupyterLab with a browser that draws the curves and does not draw them, in turn. It reports
medians and judges nothing. About 20 minutes on two quiet cores; `--quick` takes two minutes.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from kernel import COURSE, Kernel

RESULT = COURSE / "results" / "bench.json"

LESSON = """
import time
import torch
from matplotlib_inline import backend_inline
from torch import nn
from d2l import torch as d2l
from lenet_course import data_files

# The only change: IPython 9 has this function at another place.
d2l.use_svg_display = lambda: backend_inline.set_matplotlib_formats("svg")

class Reshape(torch.nn.Module):
    def forward(self, x):
        return x.view(-1, 1, 28, 28)

torch.manual_seed(0)
net = torch.nn.Sequential(
    Reshape(), nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.Sigmoid(),
    nn.AvgPool2d(kernel_size=2, stride=2),
    nn.Conv2d(6, 16, kernel_size=5), nn.Sigmoid(),
    nn.AvgPool2d(kernel_size=2, stride=2),
    nn.Flatten(),
    nn.Linear(16 * 5 * 5, 120), nn.Sigmoid(),
    nn.Linear(120, 84), nn.Sigmoid(),
    nn.Linear(84, 10))
with data_files.beside_data():
    train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size=256)
"""
TRAIN_LESSON = "d2l.train_ch6(net, train_iter, test_iter, {epochs}, 0.9, torch.device('cpu'))"

COURSE_CODE = """
import lenet_helpers as lenet
from lenet_course.curves import LiveCurves
import time
import torch

torch.manual_seed(0)
net = lenet.make_lenet()
train_iter, test_iter = lenet.load_data_fashion_mnist(batch_size=256)
"""
TRAIN_COURSE = """curves = LiveCurves()
print(lenet.train_ch6(net, train_iter, test_iter, {epochs}, 0.9, "cpu", callback=curves))
found |= {{"curves_seconds": curves.seconds, "pictures": curves.pictures}}"""
# With curves and without, each for a fifth of an epoch, in turn: what else the machine does then
# burdens both.
TRAIN_IN_TURN = """BATCHES = 47
times = []
class InTurn(LiveCurves):
    def after_batch(self, run):
        times.append(time.perf_counter())
        if len(times) // BATCHES % 2:
            super().after_batch(run)
curves = InTurn()
lenet.train_ch6(net, train_iter, test_iter, {epochs}, 0.9, "cpu", callback=curves)
turns = [times[i + BATCHES - 1] - times[i] for i in range(0, len(times), BATCHES)]
found |= {{"turns": turns, "pictures_per_second": curves.pictures / sum(turns[1::2])}}"""

BARE = """
import lenet_helpers as lenet
import time
import torch

torch.manual_seed(0)
net = lenet.make_lenet().to(memory_format=torch.channels_last)
batches = list(lenet.load_data_fashion_mnist(batch_size=256)[0])
optimizer = torch.optim.SGD(net.parameters(), lr=0.9)
loss = torch.nn.CrossEntropyLoss()
"""
TRAIN_BARE = """for _ in range({epochs}):
    for X, y in batches:
        optimizer.zero_grad()
        loss(net(X), y).backward()
        optimizer.step()"""
WAYS = {
    "lesson": (LESSON, TRAIN_LESSON),
    "course": (COURSE_CODE, TRAIN_COURSE),
    "bare": (BARE, TRAIN_BARE),
}
TIMED = """import json
found = {{}}
tic = time.perf_counter()
{train}
found["seconds"] = time.perf_counter() - tic
print("found", json.dumps(found))
"""


def timed(train: str, epochs: int) -> str:
    return TIMED.format(train=train.format(epochs=epochs))


def train_alone(way: str, epochs: int) -> dict:
    """Seconds of one training in a fresh kernel, and what it printed and counted."""
    prepare, train = WAYS[way]
    with Kernel(CUDA_VISIBLE_DEVICES="") as kernel:
        kernel.printed(prepare)
        return result(kernel.printed(timed(train, epochs)))


def result(printed: str) -> dict:
    lines = printed.splitlines()
    found = json.loads(next(line for line in lines if line.startswith("found "))[6:])
    return found | {"printed": next((line for line in lines if line.startswith("loss ")), "")}


def two_at_once(epochs: int) -> list[float]:
    with ThreadPoolExecutor(2) as both:
        return [run["seconds"] for run in both.map(train_alone, ["course"] * 2, [epochs] * 2)]


def peak_memory(way: str, epochs: int) -> float:
    """MB at most, of a kernel and its worker processes, pages that they share counted once."""
    prepare, train = WAYS[way]
    with Kernel(CUDA_VISIBLE_DEVICES="") as kernel:
        kernel.printed(prepare)
        peaks, done = [0.0], threading.Event()

        def watch():
            while not done.wait(0.2):
                peaks.append(memory_of(kernel.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        kernel.printed(timed(train, epochs))
        done.set()
        watcher.join()
        return max(peaks)


def memory_of(pid: int) -> float:
    """MB of a process and its children; 0 if one came or went: it would be counted twice."""
    kernel = psutil.Process(pid)
    processes = [kernel, *kernel.children(recursive=True)]
    try:
        total = sum(process.memory_full_info().pss for process in processes)
    except psutil.NoSuchProcess:
        return 0.0
    same = [kernel, *kernel.children(recursive=True)] == processes
    return total / 1e6 if same else 0.0


def torch_memory() -> float:
    with Kernel(CUDA_VISIBLE_DEVICES="") as kernel:
        kernel.printed("import torch")
        return memory_of(kernel.pid)


def in_browser(epochs: int) -> dict:
    """What the curves cost in JupyterLab, with a real Chromium: in turn, in one training."""
    sys.path.insert(0, str(COURSE / "tests" / "browser"))
    from lab import Lab, Server, chromium

    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        server = Server(Path(folder))
        lab = Lab(server, browser)
        notebook = lab.new([COURSE_CODE, timed(TRAIN_IN_TURN, epochs)], size=(1366, 768))
        notebook.run_all(timeout=1e6)
        run = result(notebook.text(1))
        lab.close_all()
        server.close()
    turns = run["turns"]
    shares = [2 * turns[i] / (turns[i - 1] + turns[i + 1]) - 1 for i in range(1, len(turns) - 1, 2)]
    say(f"in JupyterLab, in turn: {', '.join(f'{share:.0%}' for share in shares)}")
    return {
        "browser_share": round(statistics.median(shares), 4),
        "browser_shares": [round(share, 3) for share in shares],
        "browser_pictures_per_second": round(run["pictures_per_second"], 2),
    }


def measure(epochs: int, rounds: int) -> dict:
    runs = {way: [] for way in WAYS}
    peaks = {way: [] for way in ("lesson", "course")}
    for number in range(1, rounds + 1):
        for way in WAYS:
            runs[way].append(train_alone(way, epochs))
            say(f"round {number} of {rounds}, {way}: {runs[way][-1]['seconds']:.1f} s")
        for way in peaks:
            peaks[way].append(peak_memory(way, epochs))
            say(f"round {number} of {rounds}, {way}: {peaks[way][-1]:.0f} MB")

    def median(way, key="seconds"):
        return statistics.median(run[key] for run in runs[way])

    at_once = two_at_once(epochs)
    say("two at once: " + ", ".join(f"{seconds:.1f} s" for seconds in at_once))
    course, memory = median("course"), {way: statistics.median(peaks[way]) for way in peaks}
    return {
        "epochs": epochs,
        "rounds": rounds,
        "cores": os.cpu_count(),
        **{f"{way}_seconds": round(median(way), 1) for way in WAYS},
        "course_to_lesson": round(course / median("lesson"), 3),
        "course_to_bare": round(course / median("bare"), 3),
        "chart_share": round(median("course", "curves_seconds") / course, 4),
        "pictures_per_second": round(median("course", "pictures") / course, 2),
        **{f"{way}_megabytes": round(memory[way]) for way in memory},
        "torch_megabytes": round(torch_memory()),
        "memory_ratio": round(memory["course"] / memory["lesson"], 3),
        "two_at_once_ratio": round(statistics.median(at_once) / course, 2),
        **{f"{way}_printed": runs[way][0]["printed"] for way in ("lesson", "course")},
        "all_seconds": {way: [round(run["seconds"], 1) for run in runs[way]] for way in runs},
    }


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the course against the lesson.")
    parser.add_argument("--quick", action="store_true", help="two epochs, one round, nothing saved")
    parser.add_argument("--rounds", type=int, default=3, help="of ten epochs, 3 if not said")
    options = parser.parse_args()
    epochs, rounds = (2, 1) if options.quick else (10, options.rounds)
    found = measure(epochs, rounds)
    if shutil.which("chromium"):
        found |= in_browser(epochs)
    text = json.dumps(found, indent=2) + "\n"
    print(text)
    if not options.quick:
        RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
