"""How the course draws: the figure style, pictures with a description, and live training curves.

Importing this module sets matplotlib's defaults for every figure of a chapter, so that all of them
look made by one hand. Sizes are in inches, at 100 CSS pixels to the inch.
"""

import lenet_helpers as lenet

import base64
import html
import io
import itertools
import math
import re
import time
from functools import partial

import ipywidgets as widgets
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

# Okabe and Ito's colours, which colour-blind readers tell apart, darkened where needed until the
# contrast with white is at least 4.5 to 1 (tests/test_live.py computes it).
COLORS = {
    "blue": "#0072B2",
    "orange": "#BF5300",
    "green": "#007D5B",
    "pink": "#AF4E86",
    "brown": "#8A6100",
    "black": "#222222",
    "grey": "#6E6E6E",
}
CSS_DPI = 100  # CSS pixels to the inch
SHARPNESS = 2  # picture pixels to the CSS pixel: sharp on high-density screens, small in the file

matplotlib.rcParams.update(
    {
        "figure.dpi": CSS_DPI,
        "figure.facecolor": "white",  # a white card in JupyterLab's dark theme, too
        "figure.constrained_layout.use": True,
        "font.size": 11,  # points; 15 CSS pixels
        "axes.titlesize": 12,
        "axes.prop_cycle": cycler(
            color=[COLORS[name] for name in ("blue", "orange", "green", "pink", "brown")],
            linestyle=["-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1))],
        ),
        "axes.edgecolor": COLORS["grey"],
        "axes.labelcolor": COLORS["black"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": COLORS["black"],
        "xtick.color": COLORS["black"],
        "ytick.color": COLORS["black"],
        "lines.linewidth": 2,
        "image.cmap": "gray",
        "image.interpolation": "nearest",  # pixels are seen as pixels
    }
)


# ---------------------------------------------------------------------------- pictures


def show(fig, alt):
    """Show a matplotlib figure as a PNG described by `alt`, a sentence saying what is seen in it.

    The description is what a reader gets who does not see the picture. The figure is closed.
    """
    data, metadata = picture(fig, alt)
    plt.close(fig)
    _display({**data, "text/plain": alt}, metadata)


def show_widget(widget, still_fig, alt):
    """Show an ipywidget; where no kernel runs, the figure `still_fig` stands in its place.

    `alt` says what is seen in the still picture. The figure is closed.
    """
    data, metadata = picture(still_fig, alt)
    plt.close(still_fig)
    _display({**_view(widget), **data, "text/plain": alt}, metadata)


def picture(fig, alt):
    """The PNG of a figure as MIME data and metadata, for a raw display.

    The metadata give its size in CSS pixels and `alt`, which nbconvert writes into its pages.
    (JupyterLab 4.6 writes no `alt`; there the description is the output's text.)
    """
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=SHARPNESS * CSS_DPI)
    width, height = (round(inches * CSS_DPI) for inches in fig.get_size_inches())
    png = base64.b64encode(file.getvalue()).decode()
    return {"image/png": png}, {"image/png": {"width": width, "height": height, "alt": alt}}


def _view(widget):
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": view}


def _display(data, metadata, **kwargs):
    """Display raw MIME data in a notebook; elsewhere there is nobody to see it."""
    if _in_notebook():
        return display(data, metadata=metadata, raw=True, **kwargs)
    return None


def _in_notebook():
    return getattr(get_ipython(), "kernel", None) is not None


def _show_pyplot_figures_after_cells_only():
    """Keep matplotlib from showing a figure that a running cell has not finished.

    It shows pyplot's figures whenever the kernel has executed something, and a click on a widget
    counts, although a thread of its own handles it while the cell goes on drawing.
    """
    from matplotlib_inline.backend_inline import flush_figures

    events = get_ipython().events
    plt.uninstall_repl_displayhook()
    if flush_figures in events.callbacks["post_execute"]:
        events.unregister("post_execute", flush_figures)
        events.register("post_run_cell", lambda result: flush_figures())


if _in_notebook():
    _show_pyplot_figures_after_cells_only()


# ---------------------------------------------------------------------------- charts

OUTSIDE = np.array([-99.0, -99.0])  # inches; where nobody sees it


class _Curve:
    """One line of a chart, with a dot at its head and its name beside the dot.

    `points()` gives the line, pairs (epoch, value); `result()` the number to write at its end.
    """

    def __init__(self, axes, name, points, result, color, dash, width, font_size, grows):
        self.axes, self.name, self.points, self.result = axes, name, points, result
        self.grows = grows
        (self.line,) = axes.plot([], [], linestyle=dash, color=color, linewidth=width)
        # Dot and label stand in inches from the figure's lower left corner, so that they can be
        # moved within a picture that is drawn already.
        inches = axes.figure.dpi_scale_trans
        (self.dot,) = axes.plot(
            [], [], "o", transform=inches, clip_on=False, ms=2.5 * width, color=color, zorder=3
        )
        self.label = axes.text(  # above all dots: another line's may lie where it has to stand
            0, 0, name, transform=inches, color=color, fontsize=font_size, va="center", zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )  # fmt: skip

    def read(self):
        """Take the points as they are now, without those that are no number."""
        points = np.array(self.points(), dtype=float).reshape(-1, 2)
        self.data = points[np.isfinite(points).all(axis=1)]

    def place(self):
        """Find the places in inches, and the path in SVG's units: 1/72 inch from the top."""
        fig = self.axes.figure
        places = self.axes.transData.transform(self.data) / fig.dpi
        self.head = places[-1] if len(places) else OUTSIDE
        points = (places * [72, -72] + [0, 72 * fig.get_figheight()]).tolist()
        self.path = "M" + "L".join([f"{x:.1f} {y:.1f}" for x, y in points]) if points else ""


class Chart:
    """Loss and accuracy side by side: a matplotlib figure, and the same picture as moving SVG.

    matplotlib draws the SVG once, which takes 90 ms. After that a picture takes 1 ms: the lines
    and the places of their labels are put into that text, until an axis or a mark has to change.
    """

    def __init__(self, num_epochs, longest_name, layers=(), projector=False):
        self.font_size = 15 if projector else 11  # points; 21 and 15 CSS pixels
        self.line_width = 3 if projector else 2  # points; 4 and 3 CSS pixels
        self.em = self.font_size / 72  # inches
        self.curves, self.marks, self.frame_state = [], [], None
        self._lay_out(num_epochs, longest_name, layers, *((14.4, 5.2) if projector else (9, 3.6)))

    def _lay_out(self, num_epochs, longest_name, layers, width, height):
        """Panels at fixed places, so that nothing jumps when a number gets one digit more."""
        em = self.em
        row = 8 * em if layers else 0  # for the gradients
        self.width = round(width * CSS_DPI)  # CSS pixels
        self.fig = Figure(figsize=(width, row + height))
        # Not layout="none" above: savefig of matplotlib 3.7 brings the default layout back then.
        self.fig.set_layout_engine("none")

        def panel(title, x, y, w, h):
            axes = self.fig.add_axes(np.array([x, y, w, h]) / np.tile([width, row + height], 2))
            axes.set_title(title, loc="left", fontsize=self.font_size)
            axes.set_xlim(0, num_epochs)
            axes.xaxis.set_major_locator(MaxNLocator(max(2, w // (3 * em)), integer=True))
            axes.tick_params(labelsize=self.font_size)
            axes.grid(axis="y", color="#DDDDDD")
            axes.set_axisbelow(True)
            return axes

        left, right, top, bottom = 3 * em, 0.6 * em * (longest_name + 7), 2.2 * em, 3.2 * em
        w, h = width / 2 - left - right, height - top - bottom
        self.loss = panel("loss", left, row + bottom, w, h)
        self.accuracy = panel("accuracy", width / 2 + left, row + bottom, w, h)
        self.accuracy.set_ylim(0, 1)
        for axes in (self.loss, self.accuracy):
            axes.set_xlabel("epoch", fontsize=self.font_size)

        left, self.gradients = 4.5 * em, []
        for i, layer in enumerate(layers):
            step = (width - left) / len(layers)
            title = f"gradient of {layer}" if i == 0 else layer
            axes = panel(title, left + i * step, 2 * em, step - em, row - 4.2 * em)
            axes.set_yscale("log", nonpositive="mask")
            axes.yaxis.set_major_formatter(lambda size, _: _power_of_ten(size))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.tick_params(labelleft=i == 0)
            self.gradients.append(axes)

    def add(self, axes, name, points, result, color, dash, earlier=False):
        """Add a line to the panel `axes`; see `_Curve`. An earlier run's is thinner, and done."""
        width = self.line_width * (0.75 if earlier else 1)
        curve = _Curve(
            axes, name, points, result, color, dash, width, self.font_size, grows=not earlier
        )
        curve.read()
        for part in ("line", "dot", "label"):
            getattr(curve, part).set_gid(f"{part}-{len(self.curves)}")
        self.curves.append(curve)

    def figure(self, lr_changes=()):
        """The matplotlib figure with every line as it is now, the last result beside its name."""
        self._follow_data()
        self._mark(lr_changes)
        for curve in self.curves:
            curve.place()
            if curve.name:
                curve.label.set_text(f"{curve.name} {curve.result():.3f}")
        for curve, label in zip(self.curves, self._label_places(), strict=True):
            curve.line.set_data(curve.data.T)
            curve.dot.set_data(curve.head[:1], curve.head[1:])
            curve.label.set_position(label)
        return self.fig

    def svg(self, alt, lr_changes=()):
        """The same picture as SVG text, without the results, described by `alt`."""
        self._follow_data()
        state = [axes.get_ylim() for axes in self.fig.axes], len(lr_changes)
        moved = [curve for curve in self.curves if curve.grows]
        if state != self.frame_state:
            self._mark(lr_changes)
            self._draw_frame(alt)
            self.frame_state, moved = state, self.curves
        for curve in moved:
            curve.place()
        moving = {}
        for i, (curve, label) in enumerate(zip(self.curves, self._label_places(), strict=True)):
            moving["line", i] = f'<g class="line"><path d="{curve.path}"'
            for part, (x, y) in (("dot", curve.head), ("label", label)):
                place = f"translate({72 * x:.1f} {-72 * y:.1f})"
                moving[part, i] = f'<g class="{part}" transform="{place}"'
        start, slots = self.frame
        return start + "".join([moving[part, i] + rest for part, i, rest in slots])

    def _follow_data(self):
        """Read the lines that grow, and fit the axes to all."""
        for curve in self.curves:
            if curve.grows:
                curve.read()
        top = max(self._values([self.loss]).max(initial=0), 0.01)
        self._set_ylim(self.loss, 0, _round_up(top))
        sizes = self._values(self.gradients)
        sizes = sizes[sizes > 0] if (sizes > 0).any() else np.array([1e-4, 1e-2])
        low, high = math.floor(math.log10(sizes.min())), math.ceil(math.log10(sizes.max()))
        for axes in self.gradients:
            self._set_ylim(axes, 10.0**low, 10.0 ** max(high, low + 1))

    def _values(self, panels):
        values = [curve.data[:, 1] for curve in self.curves if curve.axes in panels]
        return np.concatenate([[], *values])

    def _set_ylim(self, axes, low, high):
        if axes.get_ylim() != (low, high):  # a third of a millisecond, six times a second
            axes.set_ylim(low, high)

    def _mark(self, lr_changes):
        """Mark where the learning rate was changed, in both panels."""
        for artist in self.marks:
            artist.remove()
        self.marks, taken, level = [], -math.inf, 0
        for epoch, lr in lr_changes:
            for axes in (self.loss, self.accuracy):
                style = {"color": COLORS["black"], "linewidth": self.line_width / 2}
                self.marks.append(axes.axvline(epoch, linestyle=":", **style))
            # At the bottom, which the loss reaches last; above a label that it would run into.
            x = self.loss.transData.transform([epoch, 0])[0] / self.fig.dpi
            level = level + 1 if x < taken else 0
            taken = x + 5 * self.em
            self.marks.append(
                self.loss.annotate(
                    f"lr {lr:g}", (epoch, 0), (3, 3 + self.font_size * 1.3 * level), va="bottom",
                    xycoords=self.loss.get_xaxis_transform(), textcoords="offset points",
                    fontsize=self.font_size,
                    bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
                )
            )  # fmt: skip

    def _label_places(self):
        """A place beside each line's head, in inches; from the bottom up they make room."""
        places, taken = [curve.head for curve in self.curves], []
        for i in sorted(range(len(places)), key=lambda i: places[i][1]):
            x, y = places[i] + [0.6 * self.em, 0]
            end = x + 0.6 * self.em * len(self.curves[i].label.get_text())
            for other_x, other_end, other_y in sorted(taken, key=lambda other: other[2]):
                if x < other_end and other_x < end and abs(y - other_y) < 1.3 * self.em:
                    y = other_y + 1.3 * self.em
            taken.append((x, end, y))
            places[i] = np.array([x, y])
        return places

    def _draw_frame(self, alt):
        """Let matplotlib draw the SVG, and cut it where the moving parts are to be put in."""
        for curve in self.curves:
            # Something has to be drawn, or there would be nothing to put in another's place.
            curve.line.set_data(curve.axes.get_xlim(), curve.axes.get_ylim())
            curve.dot.set_data([0], [0])
            curve.label.set_position((0, 0))
            curve.label.set_text(curve.name)
        file = io.StringIO()
        with matplotlib.rc_context({"svg.fonttype": "none"}):  # text stays text
            self.fig.savefig(file, format="svg")
        # matplotlib's own head goes: in a page, its style would hold for all that is on the page.
        body = file.getvalue().split("</metadata>", 1)[1]
        body = re.sub(r"<style.*?</style>", "", body, count=1)
        width, height = 72 * self.fig.get_size_inches()
        head = (
            f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(alt)}" '
            'style="width: 100%; display: block; stroke-linejoin: round">'
        )
        slot = r'<g id="(line|dot|label)-(\d+)"(?:>\s*<path d="[^"]*")?'
        first, *rest = re.split(slot, head + body)
        self.frame = first, list(zip(rest[::3], map(int, rest[1::3]), rest[2::3], strict=True))


def _round_up(value):
    """The top of an axis for values up to `value`: 2.31 gives 2.5, 4.2 gives 5."""
    unit = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    steps = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
    return next(step * unit for step in steps if step * unit >= value)


def _power_of_ten(value):
    """1e-05 as a reader knows it: 10⁻⁵."""
    exponent = str(round(math.log10(value)))
    return "10" + exponent.translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def smoothed(run, points_per_epoch=20):
    """`run.train` as means over a twentieth of an epoch, each at its end."""
    blocks = itertools.groupby(run.train, lambda p: math.ceil(p[0] * points_per_epoch - 1e-6))
    return [
        (block[-1][0], *np.mean([p[1:] for p in block], axis=0).tolist())
        for block in (list(group) for _, group in blocks)
    ]


def _losses(run, head=None):
    return [(epoch, loss) for epoch, loss, _ in smoothed(run)]


def _accuracies(run, head=None):
    return [(epoch, accuracy) for epoch, _, accuracy in smoothed(run)]


def _gradients(run, layer):
    return [(epoch, sizes[layer]) for epoch, sizes in run.gradients]


def _layer_names(run):
    """The layers that have weights, as `run.gradients` lists them: conv 1, conv 2, dense 1, ..."""
    kinds = [
        "dense" if w.dim() == 2 else "conv" for w in run.checkpoints[0].values() if w.dim() > 1
    ]
    return [f"{kind} {kinds[: i + 1].count(kind)}" for i, kind in enumerate(kinds)]


def _chart_of_one(run, earlier=(), head=lambda: None, gradients=False, projector=False):
    """The chart of `run`, which may still grow; `head()` is its last point, not yet in the run."""
    name = run.label if earlier else "train"  # of its loss, beside those of the others
    chart = Chart(
        max(old.num_epochs for old in (run, *earlier)),
        max(len(text) for text in ("train", name, *(old.label for old in earlier))),
        _layer_names(run) if gradients else (),
        projector,
    )
    grey, blue, orange = COLORS["grey"], COLORS["blue"], COLORS["orange"]
    for old in earlier:
        _add_to_compare(chart, old, grey, "-", "--", earlier=True)
    chart.add(chart.loss, name, lambda: _losses(run, head()), lambda: run.loss, blue, "-")
    chart.add(
        chart.accuracy, "train", lambda: _accuracies(run, head()), lambda: run.train_acc, blue, "-"
    )
    chart.add(chart.accuracy, "test", lambda: run.test, lambda: run.test_acc, orange, "--")
    for layer, axes in enumerate(chart.gradients):
        chart.add(axes, "", partial(_gradients, run, layer), None, COLORS["green"], "-")
    return chart


def _add_to_compare(chart, run, color, loss_dash, accuracy_dash, earlier=False):
    """Add the training loss and the test accuracy of a finished run, under the run's label."""
    loss, accuracy = lambda: run.loss, lambda: run.test_acc
    chart.add(chart.loss, run.label, lambda: _losses(run), loss, color, loss_dash, earlier)
    chart.add(chart.accuracy, run.label, lambda: run.test, accuracy, color, accuracy_dash, earlier)


def plot_runs(runs, projector=False):
    """A figure of finished runs: training loss and test accuracy, each line with its run's label.

    A single run is drawn as `LiveCurves` leaves it, with its training accuracy.
    """
    runs = list(runs)
    if len(runs) == 1:
        return _chart_of_one(runs[0], projector=projector).figure(runs[0].lr_changes)
    chart = Chart(
        max(run.num_epochs for run in runs),
        max(len(run.label) for run in runs),
        projector=projector,
    )
    for run, style in zip(runs, itertools.cycle(matplotlib.rcParams["axes.prop_cycle"])):
        _add_to_compare(chart, run, style["color"], style["linestyle"], style["linestyle"])
    chart.loss.set_title("training loss", loc="left", fontsize=chart.font_size)
    chart.accuracy.set_title("test accuracy", loc="left", fontsize=chart.font_size)
    return chart.figure()


# ---------------------------------------------------------------------------- live


PICTURE_EVERY = 0.16  # seconds: six pictures a second, 1 ms each
PATIENCE = 2.0  # seconds until the controls say that no click gets through
INTERRUPT = "■ in the toolbar (interrupt the kernel) stops just as cleanly."
NO_CLICKS = (
    "Here a click does not reach a cell that is running. To stop, press ■ in the toolbar "
    "(interrupt the kernel): curve, numbers and network are kept."
)


class LiveCurves(lenet.Callback):
    """Curves that move while `lenet.train_ch6(..., curves=LiveCurves())` trains, and controls.

    Stop keeps curve, numbers and network; pause waits; the slider sets another learning rate, which
    is marked on the curve. `earlier` are finished runs, shown in grey. `gradients=True` adds the
    size of every layer's gradient. `projector=True` makes text and lines large enough for a hall.

    Without a kernel nothing is drawn; without a browser the final picture is the same.
    """

    def __init__(self, earlier=(), projector=False, gradients=False):
        self.earlier, self.projector, self.gradients = list(earlier), projector, gradients
        self.pictures, self.seconds = 0, 0.0  # drawn, and spent on them: what `make bench` reads
        self.stop_requested, self.paused, self.lr = False, False, None

    # What train_ch6 calls; see lenet_helpers.NoCurves

    def before_fit(self, run, optimizer, scheduler):
        self.run, self.lr_adjustable, self.optimizer = run, scheduler is None, optimizer
        self.panel, self.head, self.due = None, None, 0.0
        self.began, self.waited = time.perf_counter(), 0.0

    def after_batch(self, run):
        if self.lr is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = self.lr
            run.lr_changes.append((run.epoch, self.lr))
            self.lr = None
        tic = time.perf_counter()
        if not _in_notebook() or (tic < self.due and not self.paused):
            return
        self.head = run.train[-1]
        if self.panel is None:
            self._open()
        self._draw()
        waited = self._wait_while_paused()
        spent = time.perf_counter() - tic
        self.waited += waited
        self.seconds += spent - waited
        self.due = tic + spent + PICTURE_EVERY

    def after_fit(self, run):
        tic = time.perf_counter()
        if self.panel is not None:
            self._close()
        self.seconds += time.perf_counter() - tic
        self.stop_requested, self.paused, self.lr = False, False, None

    def _open(self):
        run = self.run
        self.alt = f"Training curves of {run.label}: loss, and training and test accuracy, by epoch"
        self.chart = _chart_of_one(
            run, self.earlier, lambda: self.head, self.gradients, self.projector
        )
        self.picture = widgets.HTML(layout={"margin": "0", "overflow": "hidden"})
        self.controls = _Controls(self)
        self.panel = widgets.VBox([self.picture, self.controls.row, self.controls.line])
        self.handle = _display({**_view(self.panel), "text/plain": self.alt}, {}, display_id=True)

    def _draw(self):
        self.picture.value = (
            f'<div style="background: white; color: #222222; width: {self.chart.width}px; '
            'max-width: 100%; overflow: hidden">'
            f"{self.chart.svg(self.alt, self.run.lr_changes)}{self._numbers()}</div>"
        )
        self.controls.refresh()
        self.pictures += 1

    def _numbers(self):
        """Where the training stands, as HTML."""
        run, epoch = self.run, self.head[0]
        passed = time.perf_counter() - self.began - self.waited
        left = _minutes(passed * (run.num_epochs / epoch - 1))
        numbers = [
            f"epoch {epoch:.1f} of {run.num_epochs}",
            f"loss {run.loss:.3f}",
            f"train acc {run.train_acc:.3f}",
            f"test acc {run.test_acc:.3f}",
            f"{run.examples_per_sec:,.0f} examples/sec",
            "paused" if self.paused else f"{left} left",
        ]
        # Each column has its share of the width, by the longest text that comes, and digits are of
        # one width: the text changes, and nothing moves.
        columns = "".join(f"<span>{number.replace('nan', '–')}</span>" for number in numbers)
        return (
            '<div style="display: grid; grid-template-columns: 16fr 10fr 15fr 14fr 19fr 10fr; '
            "gap: 1em; "
            f"font: {self.controls.font_size}px sans-serif; padding: 0.3em 1em; "
            f'font-variant-numeric: tabular-nums">{columns}</div>'
        )

    def _wait_while_paused(self):
        """Seconds waited: until the reader goes on, or stops."""
        tic = time.perf_counter()
        while self.paused and not self.stop_requested:
            time.sleep(0.05)
        if time.perf_counter() - tic > 0.05:
            self._draw()
        return time.perf_counter() - tic

    def _close(self):
        """Put the picture as PNG in the widget's place: it shows wherever the notebook is read."""
        run, self.head = self.run, None
        epoch = run.train[-1][0] if run.train else 0.0
        alt = (
            f"{self.alt}. At epoch {epoch:.1f}: loss {run.loss:.3f}, "
            f"train acc {run.train_acc:.3f}, test acc {run.test_acc:.3f}."
        )
        self.controls.silence()
        data, metadata = picture(self.chart.figure(run.lr_changes), alt)
        self.handle.update({**data, "text/plain": self.alt}, metadata=metadata, raw=True)
        _close(self.panel)


def _minutes(seconds):
    """119.6 seconds are 2:00."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"


class _Controls:
    """Pause, stop and a learning-rate slider, for a cell that is running.

    A click comes in a thread of its own and only leaves a wish in `curves`; the training looks at
    it after the batch. Not every program delivers clicks to a running cell. A hidden player finds
    out: told to play, it counts in the browser and sends what it counts. Until its first number
    has come, the buttons are disabled. JupyterLab asks for that thread when it hears of a widget;
    what it sends before the thread is there waits until the cell ends, and the widget sends nothing
    else meanwhile. So beside a player that is not heard comes a new one.
    """

    def __init__(self, curves):
        self.curves, self.heard, self.began = curves, False, time.perf_counter()
        self.font_size = round(curves.chart.font_size / 72 * CSS_DPI)  # CSS pixels

        def button(text, icon, does, tooltip):
            made = widgets.Button(
                description=text, icon=icon, tooltip=tooltip, disabled=True,
                layout={"width": "auto", "height": "auto"},
                style={"font_size": f"{self.font_size}px"},
            )  # fmt: skip
            made.on_click(does)
            return made

        self.pause = button("Pause", "pause", self._pause, "Wait; a second press goes on")
        self.stop = button("Stop", "stop", self._stop, "End now; keep curve, numbers and network")
        exponent = math.log10(curves.run.lr)
        self.slider = widgets.FloatLogSlider(
            curves.run.lr, min=min(-3, math.floor(exponent)), max=max(1, math.ceil(exponent)),
            step=0.05, description="learning rate", tooltip="From the next batch on",
            readout_format=".2g", continuous_update=False, disabled=True,
            style={"description_width": "initial"}, layout={"width": f"{30 * self.font_size}px"},
        )  # fmt: skip
        self.slider.observe(self._set_lr, "value")
        self.slider.add_class(f"lenet-text-{self.font_size}")  # see refresh
        self.line = widgets.HTML()
        self.row, self.players = widgets.HBox(), []
        self._add(self.pause, self.stop, self.slider)
        self._add_player()

    def _add(self, *added):
        """Put widgets into the row, and let what they send be handled while the cell runs."""
        for widget in added:
            # ipykernel 7.4 hands it to the thread that last wrote to the widget, to the one that
            # trains, and not to the thread that the browser asks for.
            widget.comm._reply_subshell_for = None
        self.row.children = (*self.row.children, *added)

    def _add_player(self):
        player = widgets.Play(max=1, layout={"display": "none"})
        player.observe(self._heard, "value")
        self.players.append(player)
        self._add(player)

    def silence(self):
        """No counting from here on: in a browser, a closed player that counts is an error."""
        for player in self.players:
            player.playing = False

    def _pause(self, _):
        self.curves.paused = not self.curves.paused

    def _stop(self, _):
        self.curves.stop_requested = True

    def _set_lr(self, change):
        self.curves.lr = float(f"{change.new:.2g}")

    def _heard(self, _):
        self.heard = True

    def refresh(self):
        """Show the state as it is now; called by the thread that trains, as all drawing is."""
        curves = self.curves
        if not self.heard:
            # Again and again: the browser hears of it only when the player is on the screen.
            self.players[-1].playing = not self.players[-1].playing
            # Where no click ever gets through, eleven players are enough to know it.
            if curves.pictures % 10 == 9 and curves.pictures < 100:
                self._add_player()
        self.pause.disabled = self.stop.disabled = not self.heard or curves.stop_requested
        self.slider.disabled = self.pause.disabled or not curves.lr_adjustable
        self.pause.description = "Go on" if curves.paused else "Pause"
        self.pause.icon = "play" if curves.paused else "pause"
        late = not self.heard and time.perf_counter() > self.began + PATIENCE
        text = NO_CLICKS if late else INTERRUPT
        if not curves.lr_adjustable:
            text += " The learning rate is set by the scheduler."
        # ipywidgets has no setting for the size of a slider's text.
        slider_text = f".lenet-text-{self.font_size} > :is(.widget-label, .widget-readout)"
        self.line.value = (
            f"<style>{slider_text} {{ font-size: {self.font_size}px; }}</style>"
            f'<span style="font-size: {self.font_size}px">{text}</span>'
        )


def _close(widget):
    """Close a widget with all its parts, so that nothing of it stays in the notebook's file."""
    for child in getattr(widget, "children", ()):
        _close(child)
    for part in (widget, widget.layout, getattr(widget, "style", None)):
        if part is not None:
            part.close()
