"""Measure the course against the lesson's own code: `make bench` writes results/bench.json.

Three ways to train LeNet on Fashion-MNIST for ten epochs take turns, each in a fresh Jupyter kernel
on the CPU, several rounds:

    lesson   d2l's loader, d2l's Animator, d2l.train_ch6: the lesson as it stands
    course   lenet_helpers with lenet_live's curves, as in chapter 3
    bare     forward, backward and step alone, on batches that are ready in memory

The table gives medians over the rounds. Peak memory is taken in runs of its own: to look at it
takes time. Then two kernels with the course train at once. About twenty minutes on a quiet machine
with two cores; `--quick` takes two, with two epochs and one round.
"""

import argparse
import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path

import psutil
from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "results" / "bench.json"

LESSON = """
import time
import torch
from torch import nn
from d2l import torch as d2l

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
train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size=256)
"""
TRAIN_LESSON = """
tic = time.perf_counter()
d2l.train_ch6(net, train_iter, test_iter, {epochs}, 0.9, torch.device("cpu"))
found = {{"seconds": time.perf_counter() - tic}}
"""

COURSE = """
import lenet_helpers as lenet
import time
import torch
from lenet_live import LiveCurves

torch.manual_seed(0)
net = lenet.make_lenet()
train_iter, test_iter = lenet.load_data_fashion_mnist(batch_size=256)
"""
TRAIN_COURSE = """
curves = LiveCurves()
tic = time.perf_counter()
run = lenet.train_ch6(net, train_iter, test_iter, {epochs}, 0.9, "cpu", curves=curves)
seconds = time.perf_counter() - tic
print(run)
found = {{
    "seconds": seconds,
    "chart_share": curves.seconds / seconds,
    "pictures_per_second": curves.pictures / seconds,
}}
"""

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
TRAIN_BARE = """
tic = time.perf_counter()
for _ in range({epochs}):
    for X, y in batches:
        optimizer.zero_grad()
        loss(net(X), y).backward()
        optimizer.step()
found = {{"seconds": time.perf_counter() - tic}}
"""
WAYS = {
    "lesson": (LESSON, TRAIN_LESSON),
    "course": (COURSE, TRAIN_COURSE),
    "bare": (BARE, TRAIN_BARE),
    "torch": ("import torch", ""),  # not trained: the memory that all of them begin with
}
TIMED = ("lesson", "course", "bare")


class Kernel:
    """A fresh Jupyter kernel in the notebooks' folder, ready to train in one of the WAYS."""

    def __init__(self, way):
        prepare, self.train_code = WAYS[way]
        env = os.environ | {"CUDA_VISIBLE_DEVICES": "", "JUPYTER_PREFER_ENV_PATH": "1"}
        self.manager, self.client = start_new_kernel(
            kernel_name="python3", cwd=str(ROOT / "notebooks"), env=env
        )
        self.run(prepare)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code):
        """Run code, read what it displays as a browser would, and return what it printed."""
        printed = []

        def hook(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, output_hook=hook, timeout=1800)["content"]
        if reply["status"] != "ok":
            sys.exit(f"bench: {reply['ename']}: {reply['evalue']}")
        return "".join(printed)

    def train(self, epochs):
        """What was found, with the loss that the run printed."""
        printed = self.run(self.train_code.format(epochs=epochs))
        found = json.loads(self.run("import json; print(json.dumps(found))"))
        losses = [line for line in printed.splitlines() if line.startswith("loss ")]
        return found | ({"printed": losses[-1]} if losses else {})

    def processes(self):
        kernel = psutil.Process(self.manager.provisioner.process.pid)
        return [kernel, *kernel.children(recursive=True)]

    def memory(self):
        """MB of the kernel and its worker processes, pages that they share counted once.

        0 if a worker came or went meanwhile: then what it shares would have been counted twice.
        """
        processes = self.processes()
        try:
            total = sum(process.memory_full_info().pss for process in processes)
        except psutil.NoSuchProcess:
            return 0.0
        return total / 1e6 if self.processes() == processes else 0.0


def peak_memory(way, epochs, pause=0.2):
    """MB at most, while a new kernel trains."""
    with Kernel(way) as kernel:
        peak, done = 0.0, threading.Event()

        def watch():
            nonlocal peak
            while not done.wait(pause):
                peak = max(peak, kernel.memory())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            kernel.train(epochs)
        finally:
            done.set()
            watcher.join()
        return peak


def train_alone(way, epochs):
    with Kernel(way) as kernel:
        return kernel.train(epochs)


def train_two_at_once(epochs):
    """Seconds of two kernels with the course that train at the same time."""
    with Kernel("course") as one, Kernel("course") as other:
        seconds = []
        threads = [
            threading.Thread(target=lambda k=k: seconds.append(k.train(epochs)["seconds"]))
            for k in (one, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return seconds


def measure(epochs, rounds):
    found, peaks = {way: [] for way in TIMED}, {"lesson": [], "course": []}
    for number in range(rounds):
        for way in TIMED:
            found[way].append(train_alone(way, epochs))
            say(f"round {number + 1} of {rounds}, {way}: {found[way][-1]['seconds']:.1f} s")
        for way in peaks:
            peaks[way].append(peak_memory(way, epochs))
            say(f"round {number + 1} of {rounds}, {way}: {peaks[way][-1]:.0f} MB")
    with Kernel("torch") as kernel:
        torch_memory = kernel.memory()
    memory = {way: statistics.median(peaks[way]) for way in peaks}
    at_once = train_two_at_once(epochs)
    say("two at once: " + ", ".join(f"{seconds:.1f} s" for seconds in at_once))

    def median(way, key="seconds"):
        return statistics.median(run[key] for run in found[way])

    return {
        "epochs": epochs,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "lesson_seconds": round(median("lesson"), 1),
        "course_seconds": round(median("course"), 1),
        "bare_seconds": round(median("bare"), 1),
        "course_to_lesson": round(median("course") / median("lesson"), 3),
        "course_to_bare": round(median("course") / median("bare"), 3),
        "chart_share": round(median("course", "chart_share"), 4),
        "pictures_per_second": round(median("course", "pictures_per_second"), 2),
        "lesson_megabytes": round(memory["lesson"]),
        "course_megabytes": round(memory["course"]),
        "torch_megabytes": round(torch_memory),
        "memory_ratio": round(memory["course"] / memory["lesson"], 3),
        "two_at_once_ratio": round(statistics.median(at_once) / median("course"), 2),
        "lesson_result": found["lesson"][0]["printed"],
        "course_result": found["course"][0]["printed"],
        "all_seconds": {way: [round(r["seconds"], 1) for r in found[way]] for way in TIMED},
        "all_megabytes": {way: [round(peak) for peak in peaks[way]] for way in peaks},
    }


TABLE = """
{epochs} epochs on {cores} cores, median of {rounds} rounds      found   asked for
  lesson                                    {lesson_seconds:7.1f} s
  course, live curves and all               {course_seconds:7.1f} s
  bare forward, backward and step           {bare_seconds:7.1f} s
  course / lesson                           {course_to_lesson:7.2f}     at most 0.33
  course / bare                             {course_to_bare:7.2f}     at most 1.20
  memory, course / lesson                   {memory_ratio:7.2f}     at most 0.60
  of it, Jupyter with PyTorch loaded        {torch_megabytes:7} MB
  two at once / one alone                   {two_at_once_ratio:7.2f}     about 2
  share of the live curves                  {chart_share:7.1%}     at most 3 %
  pictures a second                         {pictures_per_second:7.1f}     at least 4
  lesson printed: {lesson_result}
  course printed: {course_result}
"""


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Measure the course against the lesson.")
    parser.add_argument("--quick", action="store_true", help="two epochs, one round, nothing saved")
    parser.add_argument("--rounds", type=int, default=3, help="of ten epochs, 3 if not said")
    options = parser.parse_args()
    result = measure(*((2, 1) if options.quick else (10, options.rounds)))
    print(TABLE.format(**result))
    if not options.quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
        print(f"written to {RESULT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
