"""Training curves: `plot_runs` for finished runs, `LiveCurves` while `train_ch6` trains.

The living chart is drawn by the browser (curves.js), which gets a few numbers several times a
second; the still that stays in the notebook is drawn by matplotlib.
"""

import lenet_helpers as lenet
from lenet_course.drawing import COLORS, in_notebook, plain, short, show_data, still, view

import itertools
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anywidget
import matplotlib
import numpy as np
import traitlets
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

Points = Sequence[Sequence[float]]  # [epoch, value], ...


def smoothed(run: lenet.Run, column: int) -> Points:
    """The loss (column 1) or accuracy (2) of `run.train`, as means over twentieths of an epoch.

    A mean stands where its last batch ended. What is no number is left out.
    """
    if not run.train:
        return []
    points = np.array(run.train)
    _, first = np.unique(np.ceil(20 * points[:, 0] - 1e-6), return_index=True)
    last = np.append(first[1:], len(points)) - 1
    with np.errstate(invalid="ignore"):  # inf - inf
        means = np.add.reduceat(points[:, column], first) / (last - first + 1)
    found = np.column_stack([points[last, 0], means]).round(4)
    return found[np.isfinite(means)].tolist()


# ---------------------------------------------------------------------------- stills


def plot_runs(runs: lenet.Run | Iterable[lenet.Run], projector: bool = False) -> Figure:
    """A figure of finished runs: training loss and test accuracy, each line with its run's label.

    A single run is drawn as `LiveCurves` leaves it, with its training accuracy. Raises ValueError
    without any run.
    """
    runs = [runs] if isinstance(runs, lenet.Run) else list(runs)
    if not runs:
        raise ValueError("there is no run to draw: give a list of what train_ch6 has returned")
    if len(runs) == 1:
        return plot_run(runs[0], projector=projector)
    chart = Chart(runs, "training loss", "test accuracy", projector)
    for run, style in zip(runs, itertools.cycle(matplotlib.rcParams["axes.prop_cycle"])):
        style = {"color": style["color"], "linestyle": style.get("linestyle", "-")}
        chart.add(0, run.label, smoothed(run, 1), **style)
        chart.add(1, run.label, run.test, **style)
    return chart.labelled()


def plot_run(run: lenet.Run, earlier: Iterable[lenet.Run] = (), projector: bool = False) -> Figure:
    """A figure of one run, with its changes of the learning rate; `earlier` runs are grey."""
    earlier = list(earlier)
    chart = Chart([run, *earlier], "loss", "accuracy", projector)
    for old in earlier:
        grey = {"color": COLORS["grey"], "linewidth": 1.5}
        chart.add(0, old.label, smoothed(old, 1), **grey)
        chart.add(1, old.label, old.test, linestyle="--", **grey)
    chart.add(0, run.label if earlier else "train", smoothed(run, 1), color=COLORS["blue"])
    chart.add(1, "train", smoothed(run, 2), color=COLORS["blue"])
    chart.add(1, "test", run.test, color=COLORS["orange"], linestyle="--")
    for number, (epoch, lr) in enumerate(run.lr_changes):
        for axes in chart.axes:
            axes.axvline(epoch, color=COLORS["black"], linewidth=1, linestyle=":")
        low = 0.03 + 0.08 * (number % 4)  # the next one's text stands above this one's
        place = chart.axes[0].get_xaxis_transform()
        chart.axes[0].text(epoch, low, f" lr {lr:g}", transform=place, fontsize=chart.size)
    return chart.labelled()


class Chart:
    """Two panels beside each other, for losses and for accuracies, with labelled lines."""

    def __init__(self, runs: list[lenet.Run], loss: str, accuracy: str, projector: bool) -> None:
        self.size = 15 if projector else 11  # points
        self.width, self.height = (12.4, 4.6) if projector else (9, 3.5)  # inches
        # No layout engine: all panels stand at the same places, with room for their labels.
        self.figure = Figure(figsize=(self.width, self.height), layout="none")
        room = 0.6 * (
            max(len(plain(run.label, 16)) for run in runs) + 7
        )  # for "train 0.475", in em
        self.axes = [
            self._panel(title, i, max(room, 7.2)) for i, title in enumerate((loss, accuracy))
        ]
        for axes in self.axes:
            axes.set(xlabel="epoch", xlim=(0, max(run.num_epochs for run in runs)))
        self.ends, self.top = ([], []), 0.01

    def _panel(self, title: str, number: int, room: float):
        em = self.size / 72  # inches
        left, right = (
            (number * self.width / 2 + 3 * em),
            ((number + 1) * self.width / 2 - room * em),
        )
        with matplotlib.rc_context({"font.size": self.size, "axes.titlesize": self.size}):
            axes = self.figure.add_axes(
                (
                    left / self.width, 3.4 * em / self.height,
                    (right - left) / self.width, 1 - 5.4 * em / self.height,
                )
            )  # fmt: skip
            axes.set_title(title, loc="left")
            axes.tick_params(labelsize=self.size)
            axes.xaxis.label.set_size(self.size)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(axis="y", color="#DDDDDD")
        axes.set_axisbelow(True)
        return axes

    def add(self, panel: int, name: str, points: Points, **style: Any) -> None:
        """A line, with a dot at its last point, where its label stands."""
        points = [point for point in points if all(map(math.isfinite, point))]
        if not points:
            return
        xs, ys = zip(*points, strict=True)
        self.axes[panel].plot(xs, ys, **{"linestyle": "-"} | style)
        self.axes[panel].plot(xs[-1], ys[-1], "o", ms=5, color=style["color"], clip_on=False)
        self.ends[panel].append((xs[-1], ys[-1], f"{plain(name, 16)} {ys[-1]:.3f}", style["color"]))
        self.top = max(self.top, *ys) if panel == 0 else self.top

    def labelled(self) -> Figure:
        """The figure, with its labels; from the bottom up they make room for each other."""
        for axes, ends, top in zip(self.axes, self.ends, (1.05 * self.top, 1), strict=True):
            axes.set_ylim(0, top)
            height = axes.get_position().height * self.figure.get_figheight()
            line = 1.3 * self.size / 72 / height * top  # the height of a line of text, in data
            below = -math.inf
            for x, y, label, color in sorted(ends, key=lambda end: end[1]):
                below = max(y, below + line)
                axes.annotate(
                    f"  {label}", (x, below), color=color, va="center", fontsize=self.size,
                    annotation_clip=False,
                )  # fmt: skip
        return self.figure


# ---------------------------------------------------------------------------- live


LOST = (  # for a page without the living chart: a copy of the notebook, or after a restart
    "<p>Training curves were here: run this cell again, or <code>plot_runs([run])</code> if there "
    "is a run.</p>"
)


class LiveChart(anywidget.AnyWidget):
    """The chart and its controls in the browser; see curves.js."""

    _esm = Path(__file__).parent / "curves.js"
    _css = Path(__file__).parent / "curves.css"

    fixed = traitlets.Dict().tag(sync=True)  # what does not change while training goes on
    now = traitlets.Dict().tag(sync=True)  # the curves, the numbers, the state of the controls


class LiveCurves(lenet.Callback):
    """Curves that grow while `train_ch6(..., callback=LiveCurves())` trains, and controls.

    *Stop* keeps curve, numbers and network; *Pause* waits; the slider sets another learning rate,
    which is marked on the curve. `earlier` are finished runs, shown in grey. `projector=True` makes
    text and lines large enough for a hall; if it is None, $LENET_PROJECTOR decides (`make present`
    sets it). Inside, the kernel's interrupt ■ ends training between two batches, as *Stop* does.

    A picture that cannot be drawn never ends training: it is missing, and a line says why.
    """

    every = 0.21  # seconds from one picture to the next: four a second

    def __init__(self, earlier: Iterable[lenet.Run] = (), projector: bool | None = None) -> None:
        self.earlier = list(earlier)
        self.projector = bool(os.environ.get("LENET_PROJECTOR")) if projector is None else projector
        self.pictures, self.seconds = 0, 0.0  # sent, and spent on them: what `make bench` reads

    def before_fit(
        self, run: lenet.Run, optimizer: Optimizer, scheduler: LRScheduler | None
    ) -> None:
        self.run, self.optimizer, self.scheduler = run, optimizer, scheduler
        self.stop_requested, self.paused, self.new_lr = False, False, None
        self.chart, self.heard, self.trouble = None, False, ""
        self.began, self.waited, self.due = time.perf_counter(), 0.0, 0.0
        self.interrupt_handler = None
        with suppress(ValueError):  # not in the main thread: nobody interrupts us there
            self.interrupt_handler = signal.signal(signal.SIGINT, self._interrupted)

    def after_batch(self, run: lenet.Run) -> None:
        self._change_lr()
        early = time.perf_counter() < self.due and not self.paused
        if early or not in_notebook() or self.trouble:
            return
        self._try(self._draw)
        self._wait_while_paused()
        self.due = time.perf_counter() + self.every

    def after_fit(self, run: lenet.Run) -> None:
        if self.interrupt_handler is not None:
            signal.signal(signal.SIGINT, self.interrupt_handler)
        self._try(self._leave_a_still)
        if self.trouble:
            print(self.trouble)

    def _try(self, draw: Callable) -> None:
        """Draw, if that can be done, and count the time that it takes."""
        tic = time.perf_counter()
        try:
            draw()
        except Exception as error:
            self.trouble = f"the picture is missing: {type(error).__name__}: {error}"
        self.seconds += time.perf_counter() - tic

    # What the reader asks for: a wish is left here, and training looks at it after the batch.

    def _interrupted(self, signum, frame) -> None:
        if self.stop_requested:
            raise KeyboardInterrupt  # asked twice: at once, then
        self.stop_requested = True

    def _told(self, widget, message: dict, buffers) -> None:
        """The browser is there, or the reader has pressed something; in a thread of its own."""
        self.heard = True
        if message.get("do") == "pause":
            self.paused = not self.paused
        elif message.get("do") == "stop":
            self.stop_requested = True
        elif message.get("do") == "lr":
            self.new_lr = float(f"{message['value']:.2g}")

    def _change_lr(self) -> None:
        if self.new_lr is None or self.scheduler:
            return
        for group in self.optimizer.param_groups:
            group["lr"] = self.new_lr
        self.run.lr_changes.append((self.run.epoch, self.new_lr))
        self.new_lr = None

    def _wait_while_paused(self) -> None:
        tic = time.perf_counter()
        while self.paused and not self.stop_requested:
            time.sleep(0.05)
            self._change_lr()
        self.waited += time.perf_counter() - tic

    # What the reader sees

    def _draw(self) -> None:
        if self.chart is None:
            self.alt = f"Training curves of {plain(self.run.label)}: loss and accuracy by epoch"
            self.chart = LiveChart(fixed=self._fixed())
            # ipykernel 7.4 hands what the browser sends to the thread that last wrote to the
            # widget, the one that trains, and not to the thread that the browser asks for.
            self.chart.comm._reply_subshell_for = None
            self.chart.on_msg(self._told)
            data = view(self.chart) | {"text/html": LOST, "text/plain": self.alt}
            self.handle = show_data(data, display_id=True)
        self.chart.now = self._now()
        self.pictures += 1

    def _fixed(self) -> dict:
        return {
            "label": short(self.run.label, 16),
            "num_epochs": max(run.num_epochs for run in (self.run, *self.earlier)),
            "earlier": [
                {
                    "label": short(run.label, 16),
                    "loss": smoothed(run, 1),
                    "test": [list(point) for point in run.test],
                }
                for run in self.earlier
            ],
            "projector": self.projector,
            "lr": self.run.lr,
            "lr_adjustable": self.scheduler is None,
        }

    def _now(self) -> dict:
        run, numbers = self.run, self._numbers()
        return {
            "loss": smoothed(run, 1),
            "train": smoothed(run, 2),
            "test": [[epoch, round(accuracy, 4)] for epoch, accuracy in run.test],
            "marks": [[epoch, f"lr {lr:g}"] for epoch, lr in run.lr_changes],
            "numbers": numbers,
            "heard": self.heard,
            "paused": self.paused,
            "stopping": self.stop_requested,
            "over": False,
        }

    def _numbers(self) -> list[str]:
        run = self.run
        passed = time.perf_counter() - self.began - self.waited
        left = passed * (run.num_epochs / run.epoch - 1)
        return [
            f"epoch {run.epoch:.1f} of {run.num_epochs}",
            f"loss {run.loss:.3f}",
            f"train acc {run.train_acc:.3f}",
            f"test acc {run.test_acc:.3f}".replace("nan", "–"),
            f"{run.examples_per_sec:,.0f} examples/sec",
            "paused" if self.paused else f"{minutes(left)} left",
        ]

    def _leave_a_still(self) -> None:
        """A picture in the widget's place shows wherever the notebook is read.

        The widget stays: a page that was closed meanwhile finds it again, with the last state.
        """
        if self.chart is None:
            return
        run = self.run
        alt = (
            f"{self.alt}. At epoch {run.epoch:.1f}: loss {run.loss:.3f}, "
            f"train acc {run.train_acc:.3f}, test acc {run.test_acc:.3f}."
        )
        self.chart.now = self._now() | {"over": True, "numbers": [*self._numbers()[:-1], "over"]}
        picture = still(plot_run(run, self.earlier, self.projector), alt) | {"text/plain": self.alt}
        self.handle.update(picture, raw=True)


def minutes(seconds: float) -> str:
    """119.6 seconds are 2:00."""
    whole, rest = divmod(round(seconds), 60)
    return f"{whole}:{rest:02}"
