"""The exercises: their stubs, their solutions and typical wrong answers, each through its check.

The solutions are those that the notebooks show, folded away under each exercise; the code that is
run is the notebooks' own: their first code cell, the answer, the cell that checks.
"""

import lenet_helpers as lenet  # before torch
from lenet_course import exercises, saved
from lenet_course.exercises import checking as core
from lenet_course.exercises import leaderboard as board
from lenet_course.exercises import open_runs
from lenet_course.exercises.chapter3 import GOAL_3_5, MOST_EPOCHS_3_5
from lenet_course.exercises.chapter4 import GOALS_4_5, MOST_EPOCHS_4_5, MOST_PARAMETERS_4_5

import functools
import json
import re
import resource
import sys
from dataclasses import dataclass

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from wrong_answers import WRONG

NOTEBOOKS = lenet.COURSE / "notebooks"

NUMBERS = [name.removeprefix("check_").replace("_", ".") for name in exercises.__all__]
OPEN_RUNS = {"3.5", "4.5"}  # their answers are training runs


@dataclass(frozen=True)
class Exercise:
    imports: str  # the notebook's first code cell
    stub: str
    check: str
    folded: str  # the Markdown cell with hint and solution

    @property
    def solution(self):
        _, solution = self.folded.split("<summary>Solution</summary>")
        return "\n".join(re.findall(r"```python\n(.*?)```", solution, flags=re.S))


@functools.cache
def the_exercises():
    """All exercises of the notebooks, by number."""
    found = {}
    for path in sorted(NOTEBOOKS.glob("0*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        imports = next(cell.source for cell in cells if cell.cell_type == "code")
        for i, cell in enumerate(cells):
            title = re.match(r"### Exercise (\d\.\d) · ", cell.source)
            if cell.cell_type == "markdown" and title:
                # Between the question and the stub a picture may stand.
                end = next(j for j in range(i + 3, i + 9) if "<details>" in cells[j].source)
                kinds = [c.cell_type for c in cells[end - 2 : end + 1]]
                assert kinds == ["code", "code", "markdown"], title.group()
                sources = [c.source for c in cells[end - 2 : end + 1]]
                found[title[1]] = Exercise(imports, *sources)
    return found


def answer(number, code):
    """What the check of an exercise says when `code` stands in the place of its stub."""
    exercise, names = the_exercises()[number], {}
    exec(f"{exercise.imports}\nfrom lenet_course import exercises", names)
    exec(compile(code, "<ipython-input-1>", "exec"), names)
    return eval(exercise.check, names)


@pytest.fixture(autouse=True)
def own_runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path / "runs"))


# ---------------------------------------------------------------------------- right and untouched


def test_every_check_has_its_exercise_and_every_chapter_three_to_five():
    assert sorted(the_exercises()) == sorted(NUMBERS)
    for chapter in "123457":
        assert 3 <= sum(number[0] == chapter for number in the_exercises()) <= 5


@pytest.mark.parametrize("number", NUMBERS)
def test_the_untouched_stub_is_not_tried_yet(number):
    exercise = the_exercises()[number]
    assert "..." in exercise.stub
    assert answer(number, exercise.stub).state == core.NOT_TRIED
    assert exercise.folded.count("<details>") == exercise.folded.count("</details>") == 2
    assert "<summary>Hint</summary>\n\n" in exercise.folded  # the blank line: Markdown follows


@pytest.mark.parametrize("number", [n for n in NUMBERS if n not in OPEN_RUNS])
def test_the_solution_is_right(number):
    feedback = answer(number, the_exercises()[number].solution)
    assert feedback.state == core.RIGHT, feedback


# ---------------------------------------------------------------------------- wrong answers


@functools.cache
def feedback_to(number, wrong):
    solution = the_exercises()[number].solution
    return answer(number, wrong if isinstance(wrong, str) else wrong.apply(solution))


@pytest.mark.parametrize(
    "number, wrong, part",
    [(n, wrong, part) for n, answers in WRONG.items() for wrong, part in answers],
)
def test_a_wrong_answer_is_told_what_is_wrong_with_it(number, wrong, part):
    feedback = feedback_to(number, wrong)
    assert feedback.state == core.NOT_YET
    assert part in feedback.text


def test_three_wrong_answers_an_exercise_at_least_and_each_has_its_own_message():
    assert set(WRONG) == set(NUMBERS) - OPEN_RUNS
    for number, answers in WRONG.items():
        told = [feedback_to(number, wrong).text for wrong, _ in answers]
        assert len(set(told)) == len(told) >= 3, number


def test_no_check_gives_its_answer_away():
    """Nothing that can be imported from the exercises is a right answer."""
    modules = [m for name, m in sys.modules.items() if name.split(".")[0] == "exercises"]
    things = {  # what is made there, each once
        id(thing): thing
        for module in [*modules, lenet]
        for name, thing in vars(module).items()
        if not name.startswith("__")
        and getattr(thing, "__module__", module.__name__) == module.__name__
    }
    for number in NUMBERS:
        if number in OPEN_RUNS:
            continue
        check = getattr(exercises, f"check_{number.replace('.', '_')}")
        for thing in things.values():
            if not (number == "3.4" and isinstance(thing, str)):
                assert check(thing).state != core.RIGHT, (number, thing)


# ---------------------------------------------------------------------------- open exercises


def test_the_goals_in_the_text_are_those_of_the_checks():
    of_3_5 = f"# the goal: a test accuracy of {GOAL_3_5} after at most {MOST_EPOCHS_3_5} epochs"
    assert the_exercises()["3.5"].stub.startswith(of_3_5)
    fashion, mnist = GOALS_4_5["FashionMNIST"], GOALS_4_5["MNIST"]
    of_4_5 = (
        f"# at most {MOST_PARAMETERS_4_5} parameters and {MOST_EPOCHS_4_5} epochs\n"
        f"# the goals: {fashion} on Fashion-MNIST, {mnist} on MNIST"
    )
    assert the_exercises()["4.5"].stub.startswith(of_4_5)


@pytest.fixture
def few_images(monkeypatch, first_images):
    """The iterators that the solutions ask for, of few images: two batches and one."""
    train_iter = lenet.batches(first_images(512), batch_size=256, shuffle=True)
    test_iter = lenet.batches(first_images(256), batch_size=256, shuffle=False)
    for name in ("load_data_fashion_mnist", "load_data_mnist"):
        monkeypatch.setattr(lenet, name, lambda batch_size: (train_iter, test_iter))


def results(name):
    return json.loads(board.path_of(name).read_text())


@pytest.mark.parametrize("number, name", [("3.5", "3_5"), ("4.5", "4_5_FashionMNIST")])
def test_the_solution_of_an_open_exercise_runs_and_is_kept(number, name, few_images):
    """With few images it cannot reach the goal: it is judged by the rules, told so, and kept."""
    feedback = answer(number, the_exercises()[number].solution)
    assert feedback.state == core.NOT_YET and "are missing to" in feedback.text
    (result,) = results(name)
    assert result["test_acc"] == pytest.approx(float(feedback.text[:6]), abs=1e-4)
    assert result["label"] and result["layers"].startswith(("Reshape, Conv2d", "Conv2d"))


@pytest.fixture
def trained(train_iter, test_iter):
    """LeNet and its run, an epoch of five batches."""
    net = lenet.make_lenet()
    return net, lenet.train_ch6(net, train_iter, test_iter, 1, 0.1, "cpu", label="short")


def test_rules_of_the_open_exercises(trained, train_iter, test_iter):
    net, run = trained
    other = lenet.make_lenet()
    relu = lenet.make_lenet(activation=nn.ReLU)
    long = lenet.train_ch6(lenet.make_lenet(), train_iter, test_iter, 1, 0.1, "cpu")
    long.train[-1] = (5.2, *long.train[-1][1:])
    long.checkpoints[-1] = run.checkpoints[-1]
    large = nn.Sequential(lenet.Reshape(), nn.Flatten(), nn.Linear(784, 80), nn.Linear(80, 10))
    large_run = lenet.train_ch6(large, train_iter, test_iter, 1, 0.1, "cpu")
    empty = lenet.Run("LeNet", 1, 0.1, "cpu")
    told = [
        exercises.check_3_5(net, "a run"),
        exercises.check_3_5(run, net),
        exercises.check_3_5(other, run),
        exercises.check_3_5(relu, run),
        exercises.check_3_5(net[:-1], run),
        exercises.check_3_5(net, long),
        exercises.check_3_5(net, empty),
        exercises.check_4_5(large, large_run),
        exercises.check_4_5(net, run, "CIFAR10"),
    ]
    parts = [
        "`run` should be", "A network", "are not those", "leaves the network alone", "13 layers",
        "6 epochs; 5 are allowed", "no training in it", "63610 parameters, 1610 too many",
        "CIFAR10",
    ]  # fmt: skip
    for feedback, part in zip(told, parts, strict=True):
        assert feedback.state == core.NOT_YET and part in feedback.text, feedback
    assert not board.path_of("3_5").exists()  # none of them is kept


def test_a_run_that_went_on_from_a_trained_network_does_not_count(trained):
    net, run = trained
    shipped = saved.load_weights(lenet.make_lenet(), saved.find_weights("fashion_mnist.pt"))
    run.checkpoints[0] = shipped.state_dict()
    assert "went on from an earlier one" in exercises.check_3_5(net, run).text


def test_what_is_missing_to_the_goal_is_told_with_its_likely_reason(trained, monkeypatch):
    net, run = trained
    on_training_images = [0.9, 0.13]
    monkeypatch.setattr(
        open_runs,
        "_accuracy",
        lambda net, images, count=None: on_training_images.pop(0) if count == 10_000 else 0.107,
    )
    assert "The loss has hardly left 2.30" in exercises.check_3_5(net, run).text
    run.loss = 0.5
    assert "it begins to overfit" in exercises.check_3_5(net, run).text
    assert "not learned enough yet" in exercises.check_3_5(net, run).text
    run.stopped = "stopped by you in epoch 1 of 5"
    assert "It was stopped by you in epoch 1 of 5." in exercises.check_3_5(net, run).text


def test_the_goal_is_reached_with_the_accuracy_on_all_test_images(trained, fashion):
    """The shipped network stands in for a run of ten epochs that ended with its weights."""
    net, run = trained
    saved.load_weights(net, saved.find_weights("fashion_mnist.pt"))
    run.checkpoints[-1] = net.state_dict()
    feedback = exercises.check_4_5(net.train(), run)
    accuracy = lenet.evaluate_accuracy_gpu(net, lenet.batches(fashion[1], 1000, shuffle=False))
    assert feedback.text.startswith(f"{accuracy:.4f} on the test images with 61706 parameters")


def entry(test_acc, label="mine"):
    return {
        "test_acc": test_acc, "label": label, "num_epochs": 5, "lr": 0.1, "parameters": 61706,
        "layers": "Conv2d 6 5x5",
    }  # fmt: skip


def test_the_ten_best_results_are_kept_best_first_and_each_once():
    for i in range(15):
        board.keep("x", entry(i / 100))
    kept, trouble = board.keep("x", entry(0.14))
    assert [round(100 * e["test_acc"]) for e in kept] == list(range(14, 4, -1)) and not trouble
    assert results("x") == kept


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b'{"a": 1}', b"\xff\xfe", b'[{"test_acc": "high"}]', b"[" * 100000,
     json.dumps([{**entry(float("nan")), "when": ""}]).encode()],
)  # fmt: skip
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(content):
    board.path_of("x").write_bytes(content)
    kept, trouble = board.keep("x", entry(0.5))
    assert [e["test_acc"] for e in kept] == [0.5] and "best_results_x.damaged.json" in trouble
    assert board.path_of("x").with_suffix(".damaged.json").read_bytes() == content
    assert len(results("x")) == 1


def test_a_full_disk_costs_no_earlier_result():
    board.keep("x", entry(0.5))
    before = board.path_of("x").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        kept, trouble = board.keep("x", entry(0.6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [e["test_acc"] for e in kept] == [0.6, 0.5]  # shown, though it is not in the file
    assert trouble == "This result cannot be kept (File too large)."
    assert board.path_of("x").read_bytes() == before
    assert [p.name for p in board.path_of("x").parent.iterdir()] == ["best_results_x.json"]


def test_results_are_shown_as_a_plot_and_a_table():
    board.keep("x", entry(0.79, label="a <b> & c"))
    kept, _ = board.keep("x", entry(0.81))
    fig, table = board.plot(kept, goal=0.8), board.Table(kept)
    points = [line.get_xdata()[0] for line in fig.axes[0].lines]
    assert points == [0.81, 0.79, 0.8]  # the results and the goal
    assert "1 reach the goal of 0.8" in board.describe(kept, 0.8)
    assert "a &lt;b&gt; &amp; c" in table._repr_html_() and "0.81" in repr(table)


# ---------------------------------------------------------------------------- anything at all


class Hostile:
    """An object that breaks however it is looked at."""

    def __getattribute__(self, name):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None


def raises(*arguments):
    raise ValueError("mine")


shapes = st.lists(st.integers(0, 6), max_size=4)
dtypes = st.sampled_from(
    [torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool,
     torch.complex64]
)  # fmt: skip
tensors = st.builds(lambda shape, dtype: torch.ones(shape).to(dtype), shapes, dtypes)
odd_tensors = st.sampled_from(
    [
        torch.full((2, 3, 3, 4), torch.nan),
        torch.full((), torch.inf),
        torch.eye(3).to_sparse(),
        torch.empty(3, device="meta"),
        torch.ones(2, requires_grad=True) * 2,
        nn.Parameter(torch.ones(())),
    ]
)
layers = st.sampled_from(
    [nn.Flatten(), nn.ReLU(), nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 3), nn.MaxPool2d(2),
     nn.AvgPool2d(3, 2), nn.Linear(784, 10), nn.Linear(10, 10), nn.Softmax(1), nn.LazyLinear(10),
     nn.Dropout(), nn.BatchNorm2d(6), nn.Identity(), nn.Conv1d(1, 1, 3), lenet.Reshape(),
     nn.LSTM(28, 10), nn.Embedding(3, 3), nn.Unflatten(1, (1, 1))]
)  # fmt: skip
networks = st.builds(lambda found: nn.Sequential(*found), st.lists(layers, max_size=6)) | layers
plain = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.fractions()
    | st.decimals() | st.text(max_size=9) | st.binary(max_size=9) | st.sampled_from("abcd")
    | tensors | odd_tensors
    | st.builds(np.zeros, shapes) | st.sampled_from([np.float32(3), np.bool_(1), np.array("x")])
)  # fmt: skip
containers = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
functions = st.builds(lambda value: lambda *arguments: value, containers | networks)
others = st.sampled_from(
    [raises, print, len, torch.relu, torch.sum, torch.Tensor.max, np.mean, nn.Sequential, Hostile,
     lambda: 1, lambda X: X, lambda *a: a[0], lambda *a: a, lambda *a: exit(), lambda *a: ...,
     object(), Exception("x"), range(3), type, lenet, (i for i in ()),
     lenet.Run("x", 1, 0.1, "cpu"),
     lenet.Run("x", 1, 0.1, "cpu", train=[(float("inf"), 1, 1)]),
     lenet.Run(None, 1, "x", "cpu", train=[(1, 1, 1)], checkpoints=[{}, {}])]
)  # fmt: skip
anything = containers | networks | functions | others


@settings(
    max_examples=1200, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(st.sampled_from(exercises.__all__), anything, anything)
def test_whatever_is_handed_in_gets_a_sentence(name, first, second):
    check = getattr(exercises, name)
    arguments = (first, second) if name in ("check_3_5", "check_4_5") else (first,)
    feedback = check(*arguments)
    assert feedback.state in (core.RIGHT, core.NOT_YET, core.NOT_TRIED)
    assert str(feedback).endswith((".", "?")) and feedback.state in feedback._repr_html_()
    assert "cannot read this answer" not in feedback.text


@pytest.mark.parametrize("name", exercises.__all__)
def test_an_object_that_breaks_when_looked_at_gets_a_sentence_too(name):
    hostile = Hostile()
    arguments = (hostile, hostile) if name.endswith("_5") else (hostile,)
    feedback = getattr(exercises, name)(*arguments)
    assert feedback.state == core.NOT_YET and feedback.text.endswith(".")


# ---------------------------------------------------------------------------- the core


def test_a_check_takes_no_random_numbers_from_the_notebook():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert exercises.check_1_2(nn.AvgPool2d(2)).state == core.NOT_YET
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stub_is_known_by_what_it_does():
    def commented(X):
        """A docstring."""
        ...  # your code

    def returns_nothing(X):
        return None

    def tried(X):
        X + 1

    assert core.is_untouched(commented) and core.is_untouched(returns_nothing)
    assert not core.is_untouched(tried) and not core.is_untouched(lambda X: X)
    assert core.is_untouched(None) and core.is_untouched(...) and not core.is_untouched(0)


def test_an_error_in_the_students_code_is_quoted_with_its_line():
    code = "def my_max_pool(X):\n    half = X.shape[2] // 2\n    return half.reshape(2)\n"
    feedback = answer("1.2", code)
    assert "AttributeError: 'int' object has no attribute 'reshape'" in feedback.text


def test_a_network_stays_in_the_mode_that_it_was_in():
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(784, 10))
    net[1].eval()
    core.run_network(net, torch.rand(2, 1, 28, 28))
    assert net.training and not net[1].training and net[2].training


def test_code_in_a_message_is_set_as_code_and_the_rest_is_text():
    shown = core.Feedback("1.1", core.NOT_YET, "use `a < b` & c")._repr_html_()
    assert "<code>a &lt; b</code> &amp; c" in shown
