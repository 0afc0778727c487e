"""The exercises: their stubs, their solutions and typical wrong answers, each through its check.

The solutions are those that the notebooks show, folded away under each exercise; the code that is
run is the notebooks' own: their first code cell, the answer, the cell that checks.
"""

import lenet_helpers as lenet  # before torch
from lenet_course import exercises, saved
from lenet_course.exercises import checking, leaderboard, open_runs, running
from lenet_course.exercises.cells import Cells
from lenet_course.exercises.chapter3 import RULES_3_5
from lenet_course.exercises.chapter4 import RULES_4_5

import ast
import copy
import functools
import inspect
import json
import re
import resource
import signal
from collections import Counter
from dataclasses import dataclass

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from torch import nn
from wrong_answers import HINTED, WRONG

CHECKS = [name for name in dir(exercises) if name.startswith("check_")]
NUMBERS = [name.removeprefix("check_").replace("_", ".") for name in CHECKS]
OPEN_RUNS = {"3.5", "4.5"}  # their answers are training runs
TWO_ANSWERS = {"check_3_5", "check_4_3", "check_4_5"}
TRAINED = {"4.3", *OPEN_RUNS}  # their solutions train


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
    for path in sorted((lenet.COURSE / "notebooks").glob("0*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        imports = next(cell.source for cell in cells if cell.cell_type == "code")
        for i, cell in enumerate(cells):
            title = re.match(r"### Exercise (\d\.\d) · ", cell.source)
            if cell.cell_type == "markdown" and title:
                end = next(j for j in range(i, len(cells)) if "<details>" in cells[j].source)
                *before, check = (c.source for c in cells[i:end] if c.cell_type == "code")
                stub = "\n".join(source for source in before if "..." in source)
                found[title[1]] = Exercise(imports, stub, check, cells[end].source)
    return found


def answer(number, code):
    """What the check of an exercise says when `code` stands in the place of its stub."""
    exercise, names = the_exercises()[number], {}
    exec(f"{exercise.imports}\nfrom lenet_course import exercises\n{exercise.stub}", names)
    exec(compile(code, "<ipython-input-1>", "exec"), names)
    return eval(exercise.check, names)


def told(feedback):
    """The keys of the sentences that this can be."""
    sections = [checking.MESSAGES.get(name, {}) for name in (feedback.exercise, "open", "any")]
    return {
        key
        for section in sections
        for key, sentence in section.items()
        if re.fullmatch(
            ".*".join(map(re.escape, re.split(r"\{[^}]*\}", sentence))), feedback.text, re.DOTALL
        )
    }


@pytest.fixture(autouse=True)
def own_runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path / "runs"))


# ---------------------------------------------------------------------------- right and untouched


def test_every_check_has_its_exercise_and_every_chapter_three_to_five():
    assert sorted(the_exercises()) == sorted(NUMBERS)
    assert all(3 <= count <= 5 for count in Counter(number[0] for number in NUMBERS).values())


def test_each_answer_has_a_name_of_its_own_which_its_check_knows():
    """So that no check can be given the answer to another exercise."""
    names = []
    for number, exercise in the_exercises().items():
        tree = ast.parse(exercise.stub)
        names_in = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
        bound = [n.id for n in names_in if isinstance(n.ctx, ast.Store)]
        bound += [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        given = [a.id for a in ast.parse(exercise.check).body[0].value.args if hasattr(a, "id")]
        check = getattr(exercises, f"check_{number.replace('.', '_')}")
        assert sorted(bound) == sorted(given)
        assert given == list(inspect.signature(check).parameters)[: len(given)]
        names += given
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_untouched_stub_is_not_tried_yet(number):
    exercise = the_exercises()[number]
    feedback = answer(number, exercise.stub)
    assert feedback.state == checking.NOT_TRIED
    with pytest.raises(AssertionError, match="not tried yet"):
        feedback.assert_right()
    assert exercise.folded.count("<details>") == exercise.folded.count("</details>") == 2
    assert "<summary>Hint</summary>\n\n" in exercise.folded  # the blank line: Markdown follows


@pytest.mark.parametrize("number", [n for n in NUMBERS if n not in TRAINED])
def test_the_solution_is_right(number):
    feedback = answer(number, the_exercises()[number].solution)
    assert feedback.state == checking.RIGHT, feedback
    feedback.assert_right()


# ---------------------------------------------------------------------------- wrong answers

ROWS = [(number, wrong, key) for number, rows in WRONG.items() for wrong, key in rows]


@functools.cache
def feedback_to(number, wrong):
    solution = the_exercises()[number].solution.split("train_iter")[0]
    return answer(number, wrong if isinstance(wrong, str) else wrong.apply(solution))


@pytest.mark.parametrize("number, wrong, key", ROWS)
def test_a_wrong_answer_is_told_what_is_wrong_with_it(number, wrong, key):
    feedback = feedback_to(number, wrong)
    assert feedback.state == checking.NOT_YET
    assert key in told(feedback), feedback
    with pytest.raises(AssertionError, match=re.escape(feedback.text)):
        feedback.assert_right()


# Sentences that other tests here hear, that are parts of others, or that only a run could prove.
ELSEWHERE = {
    "any": {
        "not tried", "outdated", "check stopped", "stopped", "unreadable", "no data", "own forward"
    },
    "2.5": {"unknown field"},
    "4.3": {"no run", "other network", "other settings", "run stopped"},
    "5.4": {"sorted", "lr", "zero_grad", "labels"},
    **{number: {"c"} for number in ("3.4", "4.1", "5.5")},
    "7.4": {"b"},
}  # fmt: skip


@pytest.mark.parametrize("section", ["any", *WRONG])
def test_every_sentence_of_the_checks_is_told_to_some_wrong_answer(section):
    heard = {key for number, _, key in ROWS if section in (number, "any")}
    assert set(checking.MESSAGES[section]) <= heard | ELSEWHERE.get(section, set()) | {"right"}


@pytest.mark.parametrize("body, hint", HINTED)
def test_an_error_is_quoted_with_its_line_and_what_is_mostly_behind_it(body, hint):
    feedback = answer("1.2", f"def my_max_pool(X):\n    {body}")
    assert "Your code stops with `" in feedback.text and feedback.text.endswith(hint)


def test_every_hint_is_given_to_some_error():
    hints = list(checking.MESSAGES["hints"].values())
    assert [hint for hint in hints if any(part in hint for _, part in HINTED)] == hints


class Residual(nn.Sequential):
    def forward(self, X):
        return X + super().forward(X)


def small_kernels(*, last=None, between=None):
    """A right answer to 2.5 in Sequentials within a Sequential, with other layers at two places."""
    first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1))
    second = nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16))
    between = between or nn.Identity()
    return nn.Sequential(first, nn.AvgPool2d(2), between, second, last or nn.AvgPool2d(2))


def test_2_5_looks_into_sequentials_and_leaves_the_network_as_it_was(same):
    features = small_kernels()
    before = copy.deepcopy(features.state_dict())
    feedback = exercises.check_2_5(features)
    assert feedback.state == checking.RIGHT and feedback.text.startswith("4 convolutions with")
    assert features.training and features[3].training and same(features.state_dict(), before)


@pytest.mark.parametrize(
    "features, key, words",
    [
        (
            small_kernels(last=nn.FractionalMaxPool2d(2, 5)),
            "unknown field",
            "behind FractionalMaxPool2d",
        ),
        (
            small_kernels(between=Residual(nn.Conv2d(6, 6, 3, padding=1))),
            "unknown field",
            "behind Residual",
        ),
        (Residual(*small_kernels()), "own forward", "Your Residual is an `nn.Sequential` with"),
        (
            nn.Sequential(nn.Conv2d(1, 16, 3, padding=2), nn.ReLU(), nn.AdaptiveAvgPool2d(5)),
            "sees too little",
            "sees 8 x 8 pixels",
        ),
        (small_kernels(last=nn.MaxPool2d(2, return_indices=True)), "no tensor", "a tuple"),
        (small_kernels(between=nn.Conv2d(6, 6, 5, padding=2)), "other kernel", "5 x 5"),
    ],
)
def test_2_5_says_what_it_cannot_judge(features, key, words):
    feedback = exercises.check_2_5(features)
    assert key in told(feedback) and words in feedback.text, feedback


@pytest.mark.parametrize(
    "odd, words",
    [
        (torch.tensor(1.0, device="meta"), "This is an unusual kind of tensor"),
        (torch.ones(1, 1).to_sparse(), "This is an unusual kind of tensor"),
        (np.zeros(2), "this is an ndarray"),
        (b"64262", "this is a bytes object"),
        (range(3), "this is a range"),
        (open_runs, "this is a module"),
        (np.zeros(3, "uint8")[:1].dtype.type, "this is the class uint8"),
    ],
)
def test_an_odd_answer_is_named(odd, words):
    assert words in exercises.check_1_1(odd).text


# ---------------------------------------------------------------------------- open exercises


def test_the_goals_in_the_text_are_those_of_the_checks():
    of_3_5 = f"a test accuracy of {RULES_3_5.goal} after at most {RULES_3_5.num_epochs} epochs"
    assert of_3_5 in the_exercises()["3.5"].stub
    fashion, mnist = RULES_4_5["FashionMNIST"], RULES_4_5["MNIST"]
    of_4_5 = (
        f"# at most {fashion.parameters} parameters and {fashion.num_epochs} epochs; 50000 images "
        f"to train on\n# the goals: {fashion.goal} on Fashion-MNIST, {mnist.goal} on MNIST"
    )
    assert the_exercises()["4.5"].stub.startswith(of_4_5)


@pytest.fixture
def few_images(monkeypatch, first_images):
    """The iterators that the solutions ask for, of few images: two batches and one."""
    train_iter = lenet.batches(first_images(512), batch_size=256, shuffle=True)
    test_iter = lenet.batches(first_images(256), batch_size=256, shuffle=False)
    loaders = {"load_data_fashion_mnist": lenet, "load_train_and_validation": exercises}
    for name, module in loaders.items():
        monkeypatch.setattr(module, name, lambda batch_size, **_: (train_iter, test_iter))


def results(name):
    return json.loads(leaderboard.path_of(name).read_text())


@pytest.mark.parametrize("number, name", [("3.5", "3_5"), ("4.5", "4_5_FashionMNIST_validation")])
def test_the_solution_of_an_open_exercise_runs_and_is_kept(number, name, few_images):
    """With few images it cannot reach the goal: it is judged by the rules, told so, and kept."""
    feedback = answer(number, the_exercises()[number].solution)
    assert told(feedback) == {"short of the goal"}
    (result,) = results(name)
    assert result["accuracy"] == pytest.approx(float(feedback.text[:6]), abs=1e-4)
    assert result["label"] and result["layers"].startswith(("Reshape, Conv2d", "Conv2d 16x1x3x3"))


def test_the_solution_of_4_3_runs_and_its_run_has_to_be_the_lessons(few_images):
    """With few images: what is looked at are network and settings."""
    names, folded = {}, the_exercises()["4.3"]
    exec(f"{folded.imports}\n{folded.solution}", names)
    function, run = names["with_max_pooling"], names["max_run"]
    feedback = exercises.check_4_3(function, run)
    assert feedback.state == checking.RIGHT and f"{run.test_acc:.3f} of all" in feedback.text
    lowest, highest = re.findall(r"0\.\d{3}", feedback.text)[-2:]
    assert f"reached {lowest} to {highest} with five" in folded.folded
    run.stopped = "stopped in epoch 3"
    assert told(exercises.check_4_3(function, run)) == {"run stopped"}
    run.num_epochs = 3
    assert told(exercises.check_4_3(function, run)) == {"other settings"}
    run.network = str(lenet.make_lenet())
    assert told(exercises.check_4_3(function, run)) == {"other network"}
    assert told(exercises.check_4_3(function, "a run")) == {"no run"}


@pytest.fixture
def trained(train_iter, test_iter):
    """LeNet and its run, an epoch of five batches."""
    net = lenet.make_lenet()
    return net, lenet.train_ch6(net, train_iter, test_iter, 1, 0.1, "cpu", label="short")


def test_rules_of_the_open_exercises(trained, train_iter, test_iter):
    net, run = trained
    relu = lenet.make_lenet(activation=nn.ReLU)
    long = lenet.train_ch6(lenet.make_lenet(), train_iter, test_iter, 1, 0.1, "cpu")
    long.train[-1] = (5.2, *long.train[-1][1:])
    long.checkpoints[-1] = run.checkpoints[-1]
    large = nn.Sequential(lenet.Reshape(), nn.Flatten(), nn.Linear(784, 80), nn.Linear(80, 10))
    large_run = lenet.train_ch6(large, train_iter, test_iter, 1, 0.1, "cpu")
    two = lenet.Run("two", 1, 0.1, "cpu", train=run.train, checkpoints=[{}, run.checkpoints[-1]])
    all_images = lenet.Run(**{**vars(run), "examples": 60000})
    cases = [
        (exercises.check_3_5(net, "a run"), "no run"),
        (exercises.check_3_5(run, net), "no network"),
        (exercises.check_3_5(lenet.make_lenet(), run), "other weights"),
        (exercises.check_3_5(relu, run), "other layer"),
        (exercises.check_3_5(net[:-1], run), "other count"),
        (exercises.check_3_5(net, long), "too long"),
        (exercises.check_3_5(net, lenet.Run("LeNet", 1, 0.1, "cpu")), "no training"),
        (exercises.check_3_5(net, two), "two networks"),
        (exercises.check_4_5(large, large_run), "too large"),
        (exercises.check_4_5(net, all_images), "trained on validation"),
        (exercises.check_4_5(net, run, "CIFAR10"), "no dataset"),
    ]
    for feedback, key in cases:
        assert feedback.state == checking.NOT_YET and key in told(feedback), feedback
    assert not list(leaderboard.path_of("3_5").parent.iterdir())  # none of them is kept


def ended_with(trained, net, name):
    """The run of `trained`, as if it had ended with the stored weights, which `net` gets too."""
    _, run = trained
    saved.load_weights(net, saved.find_weights(name))
    run.checkpoints = [lenet.make_lenet().state_dict(), lenet.copy_weights(net)]
    return run


def test_a_run_that_went_on_from_a_trained_network_does_not_count(trained):
    net, run = trained
    run.checkpoints[0] = ended_with(trained, lenet.make_lenet(), "fashion_mnist.pt").checkpoints[1]
    run.checkpoints[1] = net.state_dict()
    assert told(exercises.check_3_5(net, run)) == {"went on"}


def test_what_is_missing_to_the_goal_is_told_with_its_likely_reason(trained):
    net, run = trained
    assert open_runs._advice(run, net, 0.1, "FashionMNIST").startswith(" The loss has hardly left")
    run.loss = 0.5
    net = lenet.make_lenet()
    saved.load_weights(net, saved.find_weights("fashion_mnist.pt"))
    for accuracy, words in [(0.7, "it begins to overfit"), (0.78, "not learned enough yet")]:
        assert words in open_runs._advice(run, net, accuracy, "FashionMNIST")
    run.stopped = "stopped in epoch 1 of 5: as you asked"
    assert open_runs._advice(run, net, 0.1, "FashionMNIST") == f" It was {run.stopped}."


def test_4_5_is_judged_by_the_held_out_images_and_the_test_set_is_opened_last(trained, fashion):
    """The shipped LeNet stands in for a run of ten epochs; it falls short of the goal."""
    net = lenet.make_lenet()
    run = ended_with(trained, net, "fashion_mnist.pt")
    train, test = fashion
    held_out = lenet.ImageDataset(train.images[-10000:], train.labels[-10000:])
    for images, final, name in [(held_out, False, "_validation"), (test, True, "")]:
        feedback = exercises.check_4_5(net.train(), run, final=final)
        accuracy = lenet.evaluate_accuracy_gpu(net, lenet.batches(images, 1000, shuffle=False))
        assert feedback.text.startswith(f"{accuracy:.4f} on the")
        assert ("You have now looked at the test images once." in feedback.text) == final
        assert results(f"4_5_FashionMNIST{name}")[0]["accuracy"] == accuracy
    run.label = "another"
    assert "looked at the test images 2 times" in exercises.check_4_5(net, run, final=True).text


def test_a_goal_that_is_reached_is_right_with_the_test_set_only(trained, monkeypatch):
    monkeypatch.setitem(RULES_4_5, "MNIST", open_runs.Rules(
        "x", "MNIST", 0.9, num_epochs=10, validation=10000, note=RULES_4_5["MNIST"].note
    ))  # fmt: skip
    net = lenet.make_lenet()
    run = ended_with(trained, net, "mnist.pt")
    assert told(exercises.check_4_5(net, run, "MNIST")) == {"validated"}
    feedback = exercises.check_4_5(net, run, "MNIST", final=True)
    assert feedback.state == checking.RIGHT
    assert "0.9905 in 1998, and 0.992 with distorted images" in feedback.text


def test_validation_images_are_held_out_and_only_training_is_augmented(fashion):
    train_iter, validation_iter = exercises.load_train_and_validation(256, augment=torch.zeros_like)
    assert len(train_iter) == 196 and len(validation_iter.dataset) == 10000
    assert torch.equal(validation_iter.dataset.labels, fashion[0].labels[-10000:])
    X, y = next(iter(train_iter))
    assert X.shape == (256, 1, 28, 28) and not X.any() and y.any()
    assert next(iter(validation_iter))[0].any()


# ---------------------------------------------------------------------------- best results


def entry(accuracy, label="mine"):
    return {
        "accuracy": accuracy, "label": label, "num_epochs": 5, "lr": 0.1, "parameters": 61706,
        "layers": "Conv2d 6 5x5",
    }  # fmt: skip


def test_the_ten_best_results_are_kept_best_first_and_each_once():
    for i in range(15):
        leaderboard.keep("x", entry(i / 100))
    kept, trouble = leaderboard.keep("x", entry(0.14))
    assert [round(100 * e["accuracy"]) for e in kept] == list(range(14, 4, -1)) and not trouble
    assert results("x") == kept


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b'{"a": 1}', b"\xff\xfe", b'[{"test_acc": "high"}]', b"[" * 100000, b"5",
     *(json.dumps([{**entry(bad), "when": ""}]).encode() for bad in (float("nan"), 1.5))],
)  # fmt: skip
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(content):
    leaderboard.path_of("x").write_bytes(content)
    kept, trouble = leaderboard.keep("x", entry(0.5))
    assert [e["accuracy"] for e in kept] == [0.5] and "best_results_x.damaged-" in trouble
    (aside,) = leaderboard.path_of("x").parent.glob("best_results_x.damaged-*.json")
    assert aside.read_bytes() == content and aside.name in trouble
    assert len(results("x")) == 1


def test_a_file_of_the_first_version_is_read():
    old = {**entry(0.4), "when": "2025-01-01 10:00"}
    old["test_acc"] = old.pop("accuracy")
    leaderboard.path_of("x").write_text(json.dumps([old]))
    kept, trouble = leaderboard.keep("x", entry(0.5))
    assert [e["accuracy"] for e in kept] == [0.5, 0.4] and not trouble


def test_a_full_disk_costs_no_earlier_result():
    leaderboard.keep("x", entry(0.5))
    before = leaderboard.path_of("x").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        kept, trouble = leaderboard.keep("x", entry(0.6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [e["accuracy"] for e in kept] == [0.6, 0.5]  # shown, though it is not in the file
    assert trouble == " This result cannot be kept (File too large)."
    assert leaderboard.path_of("x").read_bytes() == before
    assert [p.name for p in leaderboard.path_of("x").parent.iterdir()] == ["best_results_x.json"]


POISON = [
    r"$\lr = 0.1$",
    "$",
    r"\frac{",
    "a <b> & c",
    "学习率 0.1",
    "\ud800",
    "\0\n\t",
    "x" * 9999,
    "",
]


def test_no_label_makes_results_unreadable_neither_when_kept_nor_later(trained, capsys):
    for i, label in enumerate(POISON):
        kept, trouble = leaderboard.keep("3_5", entry(i / 10, label))
        leaderboard.show(kept, 0.5, "test")
        assert len(results("3_5")) == i + 1 and not trouble
    # And a store with the labels as they are, as another program may have written it.
    kept = [{**e, "label": label} for e, label in zip(kept, POISON, strict=True)]
    leaderboard.path_of("3_5").write_text(json.dumps(kept))
    assert told(exercises.check_3_5(*trained)) == {"short of the goal"}
    assert len(results("3_5")) == len(POISON) + 1 and not capsys.readouterr().out
    assert all(e["label"].isprintable() for e in leaderboard.load("3_5")[0])
    shown = leaderboard.table(kept)["text/html"]
    assert "a &lt;b&gt; &amp; c" in shown and "tex2jax_ignore" in shown


def test_a_picture_that_fails_is_put_in_words(capsys):
    leaderboard.show([entry(1e308), entry(-1e308)], 0.5, "test")
    assert "Your 2 best: 1 reach the goal of 0.5" in capsys.readouterr().out


def test_results_are_shown_as_a_plot():
    leaderboard.keep("x", entry(0.79))
    kept, _ = leaderboard.keep("x", entry(0.81))
    fig = leaderboard.plot(kept, 0.8, "test")
    points = [line.get_xdata()[0] for line in fig.axes[0].lines]
    assert points == [0.81, 0.79, 0.8]  # the results and the goal
    assert [line.get_marker() for line in fig.axes[0].lines][:2] == ["o", "x"]


# ---------------------------------------------------------------------------- what is judged


@pytest.fixture
def shell(monkeypatch):
    """A notebook's shell, whose cells the checks watch."""
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    monkeypatch.setattr(checking, "CELLS", Cells(shell))
    shell.run_cell("from lenet_course import exercises", cell_id="imports")
    yield shell
    shell.history_manager.end_session()


@pytest.mark.parametrize(
    "cell, trouble",
    [
        ("answer_1_1 = 64262 + bias", "has ended in an error"),
        ("answer_1_1 = 64262 +", "has ended in an error"),
        ("answer_11 = 64262", "makes no `answer_1_1` any more"),
        ("answer_1_1 == 64262", "makes no `answer_1_1` any more"),
        ("print(64262)", "makes no `answer_1_1` any more"),
        ('"""\nanswer_1_1 = 64262\n"""', "makes no `answer_1_1` any more"),
        ("def f():\n    answer_1_1 = 64262", "makes no `answer_1_1` any more"),
    ],
)
def test_no_earlier_answer_is_judged_in_place_of_a_later_one(shell, cell, trouble, capsys):
    check = "feedback = exercises.check_1_1(answer_1_1)"
    for code in ("answer_1_1 = 64262", cell, "x = 1"):
        shell.run_cell(code, cell_id="scratch" if code == "x = 1" else "answer")
    shell.run_cell(check, cell_id="check")
    feedback = shell.user_ns["feedback"]
    assert feedback.state == checking.NOT_YET and trouble in feedback.text
    shell.run_cell("answer_1_1: int = 64262", cell_id="answer")
    shell.run_cell(check, cell_id="check")
    assert shell.user_ns["feedback"].state == checking.RIGHT


@pytest.mark.parametrize(
    "cell",
    [
        "x = 1; answer_1_1 = 64262", "(answer_1_1, x) = 64262, 0", "%time answer_1_1 = 64262",
        "x = answer_1_1 = 64262", "for answer_1_1 in [64262]: pass", "!true\nanswer_1_1 = 64262",
    ],
)  # fmt: skip
def test_an_answer_is_seen_however_it_is_made(shell, cell, capsys):
    for code in ("answer_1_1 = ...", cell):
        shell.run_cell(code, cell_id="answer")
    shell.run_cell("feedback = exercises.check_1_1(answer_1_1)", cell_id="check")
    assert shell.user_ns["feedback"].state == checking.RIGHT


def test_an_answer_that_its_cell_made_before_an_error_is_judged(shell, capsys):
    for code in ("answer_1_1 = ...", "answer_1_1 = 64262\n1 / 0"):
        shell.run_cell(code, cell_id="answer")
    shell.run_cell("feedback = exercises.check_1_1(answer_1_1)")
    assert shell.user_ns["feedback"].state == checking.RIGHT


def test_an_error_in_an_answer_is_placed_in_its_cell(shell):
    shell.run_cell("def my_max_pool(X):\n    return X.maximum()", cell_id="answer")
    feedback = exercises.check_1_2(shell.user_ns["my_max_pool"])
    assert "in line 2 of its cell, `return X.maximum()`" in feedback.text


def test_a_check_says_what_it_has_looked_at():
    assert str(exercises.check_1_1(61706)).endswith("Looked at: `answer_1_1 = 61706`.")
    assert str(exercises.check_1_2(lambda X: X)).endswith("Looked at: `my_max_pool(X)`.")
    assert "<small>Looked at: <code>small_net</code>, a Conv2d.</small>" in (
        exercises.check_1_4(nn.Conv2d(1, 6, 5))._repr_html_()
    )
    assert str(exercises.check_1_1(...)).endswith("run both cells again.")


def test_stop_ends_an_endless_answer_with_a_sentence():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    loop = "    while True: signal.raise_signal(signal.SIGINT)"
    assert told(answer("1.2", f"import signal\ndef my_max_pool(X):\n{loop}")) == {"stopped"}


def test_stop_ends_a_check_with_a_sentence():
    class Interrupting(nn.Module):
        def modules(self):
            raise KeyboardInterrupt

    try:
        assert told(exercises.check_1_4(Interrupting())) == {"check stopped"}
    except KeyboardInterrupt:
        pytest.fail("the check lets the interrupt through")


def test_the_dots_at_the_end_of_a_step_that_was_made_are_no_stub():
    solution = the_exercises()["3.3"].solution + "    return ..."
    assert answer("3.3", solution).state == checking.RIGHT


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


tensors = st.builds(
    lambda shape, dtype: torch.ones(shape).to(dtype),
    st.lists(st.integers(0, 6), max_size=4),
    st.sampled_from([torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8,
                     torch.bool, torch.complex64]),
)  # fmt: skip
odd_tensors = st.sampled_from(
    [torch.full((2, 3, 3, 4), torch.nan), torch.full((), torch.inf), torch.eye(3).to_sparse(),
     torch.empty(3, device="meta"), torch.ones(2, requires_grad=True) * 2,
     nn.Parameter(torch.ones(()))]
)  # fmt: skip
layers = st.sampled_from(
    [nn.Flatten(), nn.ReLU(), nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 3), nn.MaxPool2d(2),
     nn.Linear(784, 10), nn.Linear(10, 10), nn.Softmax(1), nn.LazyLinear(10), nn.BatchNorm2d(6),
     nn.Conv1d(1, 1, 3), lenet.Reshape(), nn.LSTM(28, 10), nn.Embedding(3, 3)]
)  # fmt: skip
networks = st.builds(lambda found: nn.Sequential(*found), st.lists(layers, max_size=6)) | layers
plain = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.fractions()
    | st.decimals() | st.text(max_size=9) | st.binary(max_size=9) | st.sampled_from("abcd")
    | tensors | odd_tensors
    | st.sampled_from([np.float32(3), np.bool_(1), np.array("x"), np.zeros((2, 3))])
)  # fmt: skip
containers = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner), max_leaves=4
)
functions = st.builds(lambda value: lambda *arguments: value, containers | networks)
others = st.sampled_from(
    [print, len, torch.relu, torch.sum, torch.Tensor.max, np.mean, nn.Sequential, Hostile,
     lambda: 1, lambda X: X, lambda *a: a[0], lambda *a: a, lambda *a: exit(), lambda *a: 1 / 0,
     object(), Exception("x"), range(3), type, lenet, {"a": 1}, (i for i in ()),
     lenet.Run("x", 1, 0.1, "cpu"),
     lenet.Run("x", 1, 0.1, "cpu", train=[(float("inf"), 1, 1)]),
     lenet.Run(None, 1, "x", "cpu", train=[(1, 1, 1)], checkpoints=[{}, {}])]
)  # fmt: skip
anything = containers | networks | functions | others


@settings(
    max_examples=800, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(st.sampled_from(CHECKS), anything, anything)
def test_whatever_is_handed_in_gets_a_sentence(name, first, second):
    check = getattr(exercises, name)
    arguments = (first, second) if name in TWO_ANSWERS else (first,)
    feedback = check(*arguments)
    assert feedback.state in (checking.RIGHT, checking.NOT_YET, checking.NOT_TRIED)
    assert feedback.text.endswith((".", "?")) and feedback.state in feedback._repr_html_()
    assert "cannot read this answer" not in feedback.text


@pytest.mark.parametrize("name", CHECKS)
def test_an_object_that_breaks_when_looked_at_gets_a_sentence_too(name):
    feedback = getattr(exercises, name)(*[Hostile()] * (2 if name in TWO_ANSWERS else 1))
    assert feedback.state == checking.NOT_YET and feedback.text.endswith(".")


# ---------------------------------------------------------------------------- the core


def test_a_check_takes_no_random_numbers_from_the_notebook():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert exercises.check_1_2(nn.AvgPool2d(2)).state == checking.NOT_YET
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_stays_in_the_mode_that_it_was_in():
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(784, 10))
    net[1].eval()
    running.run_network(net, torch.rand(2, 1, 28, 28))
    assert net.training and not net[1].training and net[2].training


def test_code_in_a_message_is_set_as_code_and_the_rest_is_text():
    shown = checking.Feedback("1.1", checking.NOT_YET, "use `a < b` & c")._repr_html_()
    assert "<code>a &lt; b</code> &amp; c" in shown
