"""The study of chapter 6: its networks, its data, how it chooses, whether its results are whole."""

import lenet_helpers as lenet  # before torch

import json
import re
from dataclasses import fields, replace

import nbformat
import pytest
import study_baselines as study
import torch
from torch import nn
from torch.nn import functional as F

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def chapter():
    """The functions that the chapter defines."""
    names = {"lenet": lenet, "torch": torch, "nn": nn, "F": F}
    names["permutation"] = torch.randperm(784, generator=torch.Generator().manual_seed(0))
    path = lenet.COURSE / "notebooks" / "06_convolution.ipynb"
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            for function in re.findall(r"^def .*?(?=^\S|\Z)", cell.source, re.M | re.S):
                exec(function, names)
    return names


# ---------------------------------------------------------------------------- the networks


@pytest.mark.parametrize(("c_in", "c_out", "first", "side"), [(1, 6, -2, 28), (6, 16, 0, 14)])
def test_local_and_shared_windows_are_a_convolution(c_in, c_out, first, side):
    torch.manual_seed(0)
    size = 28 if side == 28 else 10
    windows = study.Windows(c_in, c_out, study.window_offsets(True, first, side), size, shared=True)
    windows.bias.data.normal_()
    conv = nn.Conv2d(c_in, c_out, 5, padding=-first, padding_mode="circular")
    conv.weight.data = windows.weight.data[0, 0].unflatten(1, (5, 5, c_in)).permute(0, 3, 1, 2)
    conv.bias.data = windows.bias.data.flatten()
    X = torch.rand(3, c_in, side, side)
    assert torch.allclose(windows(X), conv(X), atol=1e-5)


@pytest.mark.parametrize("local", [True, False])
def test_windows_with_weights_of_their_own_can_do_what_shared_ones_do(local):
    torch.manual_seed(0)
    offsets = study.window_offsets(local, 0, 14)
    shared, own = (study.Windows(6, 16, offsets, 10, shared) for shared in (True, False))
    own.weight.data[:], own.bias.data[:] = shared.weight.data, shared.bias.data + 0.5
    X = torch.rand(3, 6, 14, 14)
    assert torch.allclose(own(X), shared(X) + 0.5, atol=1e-5)
    own.weight.data[3, 7] = 0  # of one place
    assert ((own(X) - shared(X) - 0.5).abs().amax(dim=(0, 1)) > 1e-3).nonzero().tolist() == [[3, 7]]


def test_scattered_windows_see_25_places_all_over_the_map():
    offsets = study.window_offsets(False, 0, 28)
    assert len(set(offsets)) == 25
    assert max(down for down, _ in offsets) > 20 and max(right for _, right in offsets) > 20


def test_the_windows_of_the_chapter_are_those_of_the_study(chapter):
    torch.manual_seed(0)
    X = torch.rand(2, 1, 28, 28)
    for is_shared, formula in ((True, chapter["shared"]), (False, chapter["own"])):
        layer = study.Windows(1, 6, study.window_offsets(False, 0, 28), 28, is_shared)
        weight = layer.weight[0, 0] if is_shared else layer.weight.permute(2, 3, 0, 1)
        assert torch.allclose(formula(weight, X, layer.offsets), layer(X), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("linear", 7850), ("MLP", 61225), ("lesson", 61706), ("LeNet", 61706), ("not local", 61706),
     ("not shared", 423038), ("neither", 423038)],
)  # fmt: skip
def test_networks_of_the_study(name, parameters):
    net = study.make_network(name, "max")
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    pools = {type(layer) for layer in net if "Pool" in type(layer).__name__}
    assert pools == ({nn.MaxPool2d} if name in study.LENETS else pools - {nn.MaxPool2d})


# ---------------------------------------------------------------------------- the data


def test_every_training_image_is_learned_from_or_held_out(monkeypatch):
    numbered = torch.arange(60000)
    pixels = torch.stack([numbered // 256, numbered % 256], dim=1).to(torch.uint8)
    pixels = F.pad(pixels, (0, 782)).reshape(-1, 28, 28)
    whole = lenet.ImageDataset(pixels, (numbered % 10).to(torch.uint8))
    monkeypatch.setattr(lenet, "load_images", lambda dataset, train: whole)
    parts = [study.load_images.__wrapped__("MNIST", part, CPU) for part in ("train", "val")]
    assert [len(y) for _, y in parts] == [50000, 10000]
    found = torch.cat([X[:, 0, 0, :2].long() for X, _ in parts])
    number = 256 * found[:, 0] + found[:, 1]
    assert number.sort().values.equal(numbered)
    assert torch.cat([y for _, y in parts]).equal(number % 10)


def test_shift_moves_each_image_by_its_own():
    torch.manual_seed(0)
    X = torch.rand(2, 1, 28, 28)
    moved = study.shift(X, torch.tensor([2, 0]), torch.tensor([0, -3]))
    assert moved[0, 0, 2:].equal(X[0, 0, :-2]) and not moved[0, 0, :2].any()
    assert moved[1, 0, :, :-3].equal(X[1, 0, :, 3:]) and not moved[1, 0, :, -3:].any()


def test_shuffled_pixels_are_those_of_the_chapter(chapter):
    X = torch.arange(784, dtype=torch.float32).remainder(256).reshape(1, 1, 28, 28).to(torch.uint8)
    shuffled = study.prepare(X, shuffled=True)
    assert shuffled.equal(chapter["shuffle_pixels"](X / 255)) and not shuffled.equal(X / 255)
    assert study.prepare(X, shuffled=False).equal(X / 255)


# ---------------------------------------------------------------------------- training


@pytest.fixture
def few_images(monkeypatch):
    """The study with 100 images of two classes, bright above and bright below."""
    torch.manual_seed(0)
    y = torch.arange(100) % 2
    X = torch.randint(60, (100, 1, 28, 28), dtype=torch.uint8)
    X[y == 0, :, :14] += 150
    X[y == 1, :, 14:] += 150
    monkeypatch.setattr(study, "load_images", lambda dataset, part, device: (X, y))
    monkeypatch.setattr(study, "NUM_IMAGES", 100)
    monkeypatch.setattr(study, "BATCH_SIZE", 10)
    monkeypatch.setenv("LENET_DEVICE", "cpu")


def test_a_training_learns_and_is_measured(few_images):
    run = study.Training("linear", study.CLOTHES, 3, 0.05)
    record = study.train(run)
    assert record["train_acc"] == record["val_acc"] == record["test_acc"] == 1
    assert 0.5 < record["test_confidence"] <= 1
    assert study.train(run) == record
    json.dumps(record)


def test_seeds_differ_in_their_weights_too(few_images):
    run = study.Training("linear", study.CLOTHES, 3, 1e-9, one_cycle=False)
    nets = [study.fit(replace(run, seed=seed), CPU, num_epochs=1)[0] for seed in (3, 4)]
    assert (nets[0][1].weight - nets[1][1].weight).abs().mean() > 0.01


def test_a_trial_does_not_open_the_test_set(few_images, monkeypatch):
    run = study.Training("linear", study.CLOTHES, 0, 0.05, trial=True)
    load = study.load_images
    asked = []
    monkeypatch.setattr(study, "load_images", lambda *what: asked.append(what[1]) or load(*what))
    assert "test_acc" not in study.train(run)
    assert set(asked) == {"train", "val"}


def test_shifts_and_turns_are_measured_for_digits(few_images):
    record = study.train(study.Training("linear", study.DIGITS, 3, 0.05, shifts=4))
    assert len(record["shift_curve"]) == 17 and len(record["turn_curve"]) == 13
    assert record["shift_curve"][8] == record["turn_curve"][6] == record["test_acc"]


def test_a_share_of_the_images_is_learned_from_as_many_steps(few_images):
    run = study.Training("linear", study.CLOTHES, 3, 0.05)
    _, all_images = study.fit(run, CPU, num_epochs=1)
    _, some = study.fit(replace(run, share=0.3), CPU, num_epochs=1)
    assert len(all_images) == 100 and some.equal(all_images[:30])


@pytest.mark.parametrize(
    ("trial", "tried", "restarts"), [(False, [0.4, 0.2, 0.1], 2), (True, [0.4], 0)]
)
def test_what_has_learned_nothing_is_begun_again_with_half_the_rate(
    few_images, monkeypatch, trial, tried, restarts
):
    rates = []

    def fit(run, device):
        rates.append(run.lr)
        net = study.make_network("linear", "max")
        for weights in net.parameters():
            weights.data.zero_()
        net[1].bias.data[0 if run.lr < 0.15 else 5] = 1  # class 5 is nobody's
        return net, torch.arange(100)

    monkeypatch.setattr(study, "fit", fit)
    record = study.train(study.Training("linear", study.CLOTHES, 3, 0.4, trial=trial))
    assert (rates, record["restarts"], record["lr"]) == (tried, restarts, 0.4)


# ---------------------------------------------------------------------------- choosing


def records_of(runs, score):
    return [vars(run) | {"val_acc": score(run)} for run in runs]


def test_the_mean_over_seeds_chooses():
    def score(run):
        if run.lr == 0.2 and run.pool == "average":
            return 0.99 if run.seed else 0.1  # better twice, and thrown off once
        return 0.8 if run.lr == 0.1 and run.pool == "average" else 0.7

    assert study.choose("LeNet", records_of(study.trials(), score)) == {
        "pool": "average",
        "lr": 0.1,
    }


def test_trials_come_first_and_decide_the_rest():
    first = study.runs()
    assert len(first) == len(set(first)) and set(study.trials()) < set(first)
    records = records_of(first, lambda run: 1 - abs(run.lr - 0.2) - 0.1 * (run.pool == "max"))
    assert study.runs(records[1:]) == first
    rest = set(study.runs(records)) - set(first)
    assert {run.lr for run in rest} == {0.2} and not any(run.trial for run in rest)
    assert {run.pool for run in rest if run.network == "LeNet"} == {"average"}
    for network in ("linear", "MLP", "LeNet"):
        shares = {run.share for run in rest if run.network == network}
        assert shares == {*study.SHARES, 1.0}


def test_the_results_are_whole():
    records = json.loads((lenet.COURSE / "results" / "baselines.json").read_text())
    names = [field.name for field in fields(study.Training)]
    found = {study.Training(**{name: record[name] for name in names}) for record in records}
    assert len(found) == len(records) and found == set(study.runs(records))
    assert all(("test_acc" in record) != record["trial"] for record in records)
