"""Training curves: stills of finished runs, and the living chart in a real kernel."""

import lenet_helpers as lenet
from lenet_course import curves, drawing

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel import Kernel
from matplotlib.backends.backend_agg import FigureCanvasAgg

VIEW = "application/vnd.jupyter.widget-view+json"


def made_up(label="made up", num_epochs=2, level=1.0):
    """A run of 40 batches an epoch, whose loss falls and whose accuracies rise."""
    train = [((i + 1) / 40, level * 40 / (i + 40), i / 100) for i in range(40 * num_epochs)]
    test = [(float(epoch), 0.3 * epoch) for epoch in range(1, num_epochs + 1)]
    run = lenet.Run(label, num_epochs, 0.9, "cpu", train=train, test=test)
    run.loss, run.train_acc, run.test_acc = train[-1][1], train[-1][2], test[-1][1]
    return run


# ---------------------------------------------------------------------------- stills


def test_points_are_means_over_twentieths_of_an_epoch():
    run = made_up()
    points = curves.smoothed(run, 1)
    assert [epoch for epoch, _ in points] == pytest.approx([i / 20 for i in range(1, 41)])
    assert points[0][1] == pytest.approx((run.train[0][1] + run.train[1][1]) / 2, abs=1e-4)
    few = replace(run, train=run.train[39::40])  # one batch an epoch
    assert curves.smoothed(few, 2) == [[1.0, 0.39], [2.0, 0.79]]
    run.train.append((2.025, float("nan"), 0.5))
    assert len(curves.smoothed(run, 1)) == 40 and len(curves.smoothed(run, 2)) == 41


def test_a_run_is_drawn_with_its_changes_of_the_learning_rate():
    run = made_up()
    run.lr_changes = [(0.5, 0.1), (0.6, 0.01)]
    fig = curves.plot_run(run)
    loss, accuracy = fig.axes
    assert [axes.get_title("left") for axes in fig.axes] == ["loss", "accuracy"]
    texts = [text.get_text().strip() for text in loss.texts]
    assert texts == ["lr 0.1", "lr 0.01", f"train {curves.smoothed(run, 1)[-1][1]:.3f}"]
    assert [text.get_text().strip() for text in accuracy.texts] == ["test 0.600", "train 0.785"]
    heights = [text.get_position()[1] for text in loss.texts[:2]]
    assert heights[0] < heights[1]  # one does not hide the other


def test_every_label_stands_at_its_dot_with_the_value_of_its_dot():
    fig = curves.plot_runs([made_up("one"), made_up("two", level=3.0)])
    for axes in fig.axes:
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        values = sorted(f"{dot.get_ydata()[0]:.3f}" for dot in dots)
        assert sorted(text.get_text().split()[-1] for text in axes.texts) == values


def test_one_run_needs_no_list_and_none_is_refused():
    one = made_up("one")
    assert drawing.png_of(curves.plot_runs(one)) == drawing.png_of(curves.plot_runs([one]))
    with pytest.raises(ValueError, match="there is no run to draw"):
        curves.plot_runs([])


def test_labels_never_lie_on_each_other_nor_outside_the_picture():
    runs = [made_up(f"run {i} with a long label", level=1 + i / 1000) for i in range(4)]
    fig = curves.plot_run(runs[0], runs[1:])
    png = drawing.png_of(fig)
    assert png
    renderer = FigureCanvasAgg(fig).get_renderer()
    for axes in fig.axes:
        boxes = [text.get_window_extent(renderer) for text in axes.texts]
        for i, box in enumerate(boxes):
            assert box.x1 <= fig.bbox.x1 + 1 and box.x0 >= 0
            assert not any(box.overlaps(other.shrunk(1, 0.7)) for other in boxes[:i])


@settings(max_examples=12, deadline=None)
@given(st.lists(st.text(max_size=300), min_size=1, max_size=3))
def test_any_label_can_be_drawn(labels):
    runs = [made_up(label) for label in labels]
    assert drawing.png_of(curves.plot_runs(runs))[1]
    assert drawing.png_of(curves.plot_run(runs[0], runs[1:], projector=True))[1]


def test_a_chart_of_nothing():
    assert drawing.png_of(curves.plot_run(lenet.Run("", 3, 0.9, "cpu")))[1]
    assert curves.minutes(119.6) == "2:00" and curves.minutes(61) == "1:01"


# ---------------------------------------------------------------------------- without a kernel


def test_without_a_notebook_nothing_is_drawn(net, train_iter, test_iter):
    """In a thread of its own, too, where there is no interrupt to take over."""
    live = curves.LiveCurves()
    arguments = net, train_iter, test_iter, 1, 0.1, "cpu"
    with ThreadPoolExecutor() as threads:
        run = threads.submit(lenet.train_ch6, *arguments, callback=live).result()
    assert not run.stopped and live.pictures == 0


@pytest.mark.parametrize(("times", "reason"), [(1, "as you asked"), (2, "KeyboardInterrupt")])
def test_interrupt_ends_training_between_two_batches(net, train_iter, test_iter, times, reason):
    class Interrupted(curves.LiveCurves):
        def after_batch(self, run):
            super().after_batch(run)
            if len(run.train) == 3:
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    run = lenet.train_ch6(net, train_iter, test_iter, 2, 0.1, "cpu", callback=Interrupted())
    assert run.stopped == f"stopped in epoch 1 of 2: {reason}" and len(run.train) == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_the_time_left_counts_no_pause(monkeypatch):
    """20 seconds of 30 for a quarter of the epochs: 60 more."""
    monkeypatch.setattr(curves.time, "perf_counter", lambda: 130.0)
    live, run = curves.LiveCurves(), lenet.Run("", 2, 0.9, "cpu", train=[(0.5, 2.3, 0.1)])
    live.run, live.paused, live.began, live.waited = run, False, 100.0, 10.0
    assert live._numbers()[-1] == "1:00 left"


def test_projector_by_setting(monkeypatch):
    monkeypatch.setenv("LENET_PROJECTOR", "1")
    assert curves.LiveCurves().projector and not curves.LiveCurves(projector=False).projector
    monkeypatch.delenv("LENET_PROJECTOR")
    assert not curves.LiveCurves().projector


# ---------------------------------------------------------------------------- in a kernel


@pytest.fixture(scope="module")
def kernel():
    with Kernel(OMP_NUM_THREADS="1") as kernel:
        error, _ = kernel.run("""
import lenet_helpers as lenet
from lenet_course.curves import LiveCurves
import torch
images = lenet.load_images("FashionMNIST", train=False)
part = lenet.ImageDataset(images.images[:1280], images.labels[:1280])
data = lenet.batches(part, 128, shuffle=True), lenet.batches(part, 640, shuffle=False)

def train(curves, num_epochs=2, lr=0.9, **settings):
    torch.manual_seed(0)
    net = lenet.make_lenet()
    return lenet.train_ch6(net, *data, num_epochs, lr, "cpu", callback=curves, **settings)

class At(LiveCurves):
    \"\"\"Does something after so many batches, as a click in the browser does.\"\"\"
    every = 0.0
    def __init__(self, actions):
        super().__init__()
        self.actions, self.states = dict(actions), []
    def after_batch(self, run):
        message = self.actions.get(len(run.train))
        if message:
            self._told(None, message, None)
        super().after_batch(run)
        self.states.append(self.chart.now | {"lr": self.optimizer.param_groups[0]["lr"]})
""")
        assert not error, error
        yield kernel


def shown(outputs):
    return [c["data"] for kind, c in outputs if kind in ("display_data", "update_display_data")]


def test_at_the_end_a_picture_is_left_in_the_widgets_place(kernel):
    error, outputs = kernel.run("curves = LiveCurves(); run = train(curves)")
    first, last = shown(outputs)
    assert not error and set(first) == {VIEW, "text/html", "text/plain"}
    assert "run this cell again" in first["text/html"]  # where a copy has no living chart
    assert set(last) == {"text/html", "text/plain"} and first["text/plain"] == last["text/plain"]
    assert "At epoch 2.0: loss 2.3" in last["text/html"]
    assert int(kernel.printed("print(curves.pictures)")) > 0


def test_curves_change_no_number(kernel):
    assert kernel.printed("print(train(LiveCurves()).train == train(None).train)") == "True\n"


def test_controls_do_what_they_say(kernel):
    found = kernel.printed("""
curves = At({3: {"do": "lr", "value": 0.05}, 7: {"do": "stop"}})
run = train(curves)
print(curves.states[0]["heard"], curves.states[-1]["heard"], curves.states[-1]["stopping"])
print([state["lr"] for state in curves.states])
print(run.lr_changes, run.stopped, len(run.train), curves.chart.now["over"])
""").splitlines()
    assert found[0] == "False True True"
    assert found[1] == "[0.9, 0.9, 0.05, 0.05, 0.05, 0.05, 0.05]"
    assert found[2] == "[(0.3, 0.05)] stopped in epoch 1 of 2: as you asked 7 True"


def test_pause_waits_and_is_no_time_of_training(kernel):
    found = kernel.printed("""
import threading
curves = At({3: {"do": "pause"}})
threading.Timer(1.0, lambda: curves._told(None, {"do": "pause"}, None)).start()
run = train(curves)
print([state["paused"] for state in curves.states[:4]], curves.waited > 0)
print(curves.states[2]["numbers"][-1], run.stopped == "")
""").splitlines()
    assert found == ["[False, False, True, False] True", "paused True"]


def test_a_scheduler_takes_the_sliders_place(kernel):
    found = kernel.printed("""
net = lenet.make_lenet()
optimizer = torch.optim.SGD(net.parameters(), 0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
curves = At({3: {"do": "lr", "value": 5.0}})
run = lenet.train_ch6(net, *data, 1, 0.1, "cpu", optimizer=optimizer, scheduler=scheduler,
                      callback=curves)
print(curves.chart.fixed["lr_adjustable"], run.lr_changes, run.stopped == "")
""")
    assert found == "False [] True\n"


def test_a_drawing_error_costs_the_picture_and_nothing_else(kernel):
    found = kernel.printed("""
class Broken(LiveCurves):
    def _now(self):
        raise ValueError("no such colour")
run = train(Broken())
print(run.stopped == "", run.epoch)
""")
    assert found == "the picture is missing: ValueError: no such colour\nTrue 2.0\n"


def test_an_error_in_the_middle_keeps_the_curve(kernel):
    error, outputs = kernel.run("""
class Failing(LiveCurves):
    def after_batch(self, run):
        super().after_batch(run)
        if len(run.train) == 5:
            raise ZeroDivisionError("mine")
run = train(Failing())
assert run.stopped == "stopped in epoch 1 of 2: ZeroDivisionError mine"
""")
    assert not error and "text/html" in shown(outputs)[-1]


def test_refused_settings_show_no_empty_chart(kernel):
    error, outputs = kernel.run("train(LiveCurves(), lr=-1)")
    assert error.startswith("ValueError: lr, the learning rate") and not shown(outputs)


@pytest.mark.parametrize("label", ["$\\\\lr = 0.1$", "<script>", "学习率 " * 40, "", "\\n"])
def test_any_label_can_be_trained_with(kernel, label):
    error, outputs = kernel.run(f"run = train(LiveCurves(earlier=[train(None)]), label={label!r})")
    assert not error and "text/html" in shown(outputs)[-1]
    assert not any(kind == "stream" for kind, _ in outputs)  # no warning of missing letters
