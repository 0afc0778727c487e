"""Chapter 6: its study, its explorers and its exercises, on a few images and untrained networks."""

import lenet_helpers as lenet
from lenet_course import checks, exercises
from lenet_course.explorers import shuffle, trust

import json
import re
from pathlib import Path

import nbformat
import pytest
import study_baselines as study
import torch
from torch import nn

CHAPTER = Path(__file__).parent.parent / "notebooks" / "06_convolution.ipynb"


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (30, 28, 28), dtype=torch.uint8, generator=generator)
    return lenet.ImageDataset(pixels, (torch.arange(30) % 10).to(torch.uint8))


@pytest.fixture(scope="module")
def chapter():
    """The functions that the chapter defines."""
    names = {"lenet": lenet, "torch": torch, "nn": nn}
    names["permutation"] = torch.randperm(784, generator=torch.Generator().manual_seed(0))
    for cell in nbformat.read(CHAPTER, as_version=4).cells:
        if cell.cell_type == "code":
            for function in re.findall(r"^def .*?(?=^\S|\Z)", cell.source, re.M | re.S):
                exec(function, names)
    return names


# ---------------------------------------------------------------------------- the study's networks


@pytest.mark.parametrize(("c_in", "c_out", "first", "side"), [(1, 6, -2, 28), (6, 16, 0, 14)])
def test_local_and_shared_windows_are_a_convolution(c_in, c_out, first, side):
    size = 28 if side == 28 else 10
    windows = study.Windows(c_in, c_out, study.window_offsets(True, first, side), size, shared=True)
    conv = nn.Conv2d(c_in, c_out, 5, padding=-first, padding_mode="circular")
    conv.weight.data = windows.weight.data[0].unflatten(1, (5, 5, c_in)).permute(0, 3, 1, 2)
    conv.bias.data = windows.bias.data.flatten()
    X = torch.rand(3, c_in, side, side)
    assert torch.allclose(windows(X), conv(X), atol=1e-5)


@pytest.mark.parametrize("local", [True, False])
def test_windows_that_do_not_share_can_do_what_shared_ones_do(local):
    offsets = study.window_offsets(local, 0, 14)
    shared, own = (study.Windows(6, 16, offsets, 10, shared) for shared in (True, False))
    own.weight.data[:], own.bias.data[:] = shared.weight.data, shared.bias.data + 0.5
    X = torch.rand(3, 6, 14, 14)
    assert torch.allclose(own(X), shared(X) + 0.5, atol=1e-5)


def test_scattered_windows_see_25_places_all_over_the_map():
    offsets = study.window_offsets(False, 0, 28)
    assert len(set(offsets)) == 25
    assert max(down for down, _ in offsets) > 20 and max(right for _, right in offsets) > 20


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("linear", 7850), ("MLP", 61225), ("lesson", 61706), ("LeNet", 61706), ("not local", 61706),
     ("not shared", 423038), ("neither", 423038)],
)  # fmt: skip
def test_networks_of_the_study(name, parameters):
    net = study.make_network(name, "max")
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 10)


# ---------------------------------------------------------------------------- the study's data


def test_split_has_every_image_once(monkeypatch):
    numbered = torch.arange(60000)
    pixels = torch.stack([numbered // 256, numbered % 256], dim=1).to(torch.uint8)
    pixels = nn.functional.pad(pixels, (0, 782)).reshape(-1, 28, 28)
    whole = lenet.ImageDataset(pixels, (numbered % 10).to(torch.uint8))
    monkeypatch.setattr(lenet, "load_images", lambda dataset, train: whole)
    learn, validation = study.split("MNIST")
    found = torch.cat([part.images[:, 0, :2].long() for part in (learn, validation)])
    assert len(learn) == 50000
    assert (256 * found[:, 0] + found[:, 1]).sort().values.equal(numbered)
    small, large = (
        study.load_parts(study.Settings("MLP", "MNIST", 3, 0.1, share=share, test=False))["train"]
        for share in (0.01, 0.03)
    )
    assert len(small) == 500 and large.images[:500].equal(small.images)


def test_shift_moves_each_image_by_its_own(images):
    X, _ = images[[0, 1]]
    moved = study.shift(X, torch.tensor([2, 0]), torch.tensor([0, -3]))
    assert moved[0, 0, 2:].equal(X[0, 0, :-2]) and not moved[0, 0, :2].any()
    assert moved[1, 0, :, :-3].equal(X[1, 0, :, 3:]) and not moved[1, 0, :, -3:].any()
    assert study.shift(X, 0, 28).count_nonzero() == 0 and study.shift(X, 0, 0).equal(X)


def test_shifted_batches_keep_labels_and_change_every_time(images):
    batches = study.Shifted(lenet.batches(images, 10, shuffle=False), most=1)
    first, second = list(batches), list(batches)
    assert len(batches) == len(first) == 3
    assert torch.cat([y for _, y in first]).equal(images.labels.long())
    assert any(not a.equal(b) for (a, _), (b, _) in zip(first, second, strict=True))
    checks.batch(*first[0])


def test_shuffled_pixels_are_those_of_the_chapter(chapter, images):
    X, _ = images[list(range(30))]
    shuffled, _ = study.shuffle_pixels(images)[list(range(30))]
    assert shuffled.equal(chapter["shuffle_pixels"](X)) and not shuffled.equal(X)


# ---------------------------------------------------------------------------- what it measures


def test_calibration_error_by_hand(chapter):
    probabilities = torch.full((4, 10), 0.2 / 9)
    probabilities[:, 0] = 0.8
    y = torch.tensor([0, 0, 1, 1])  # half are right at a confidence of 0.8
    assert study.calibration_error(probabilities.log(), y) == pytest.approx(0.3, abs=1e-4)
    logits, y = 3 * torch.randn(500, 10), torch.randint(10, (500,))
    found = chapter["calibration_error"](logits, y)
    assert study.calibration_error(logits, y) == pytest.approx(found, abs=1e-4)


def test_best_temperature_undoes_what_made_a_network_too_sure():
    logits = 2 * torch.randn(5000, 10)
    y = torch.distributions.Categorical(logits=logits).sample()
    assert study.best_temperature(3 * logits, y) == pytest.approx(3, rel=0.1)


def test_windows_of_the_chapter_are_those_of_the_study(chapter):
    if "windows" not in chapter:
        pytest.skip("the section on locality and sharing is not in the chapter yet")
    for shared, formula in ((True, "ok,bkij->boij"), (False, "okij,bkij->boij")):
        layer = study.Windows(6, 16, study.window_offsets(False, 0, 14), 10, shared)
        X = torch.rand(2, 6, 14, 14)
        weight = layer.weight.permute(1, 2, 0)
        weight = weight[..., 0] if shared else weight.unflatten(2, (10, 10))
        seen = chapter["windows"](X, layer.offsets, 10)
        assert torch.allclose(torch.einsum(formula, weight, seen), layer(X), atol=1e-5)


# ---------------------------------------------------------------------------- the study itself


@pytest.fixture
def short_study(monkeypatch, tmp_path):
    """A study whose trainings take no time; the list of what it trains."""
    trained = []

    def measure(settings):
        trained.append(settings)
        score = {0.05: 0.7, 0.1: 0.8, 0.2: 0.75 if settings.seed else 0.99, 0.5: 0.1}[settings.lr]
        return vars(settings) | {"val_acc": score}, nn.Flatten()

    monkeypatch.setattr(study, "OUTPUT", tmp_path / "baselines.json")
    monkeypatch.setattr(study, "measure", measure)
    monkeypatch.setattr(study, "ship", lambda settings, net: None)
    return trained


def test_study_goes_on_where_it_stopped(short_study):
    plan = [study.Settings("MLP", "MNIST", seed, 0.1) for seed in range(3)]
    study.Study().run(*plan[:2])
    study.Study().run(*plan)
    assert short_study == plan
    assert len(json.loads(study.OUTPUT.read_text())) == 3


def test_study_chooses_by_the_mean_over_seeds(short_study):
    tried = study.Study()
    for lr in study.RATES:
        tried.run(*(study.Settings("MLP", "MNIST", s, lr, test=False) for s in range(3)))
    assert tried.choose("MLP") == {"pool": "average", "lr": 0.2}
    tried.records[-4]["val_acc"] = 0.2  # one seed of the best rate fails
    assert tried.choose("MLP") == {"pool": "average", "lr": 0.1}


def test_results_are_whole():
    records = json.loads((lenet.COURSE / "results" / "baselines.json").read_text())
    groups = {}
    for record in records:
        settings = {name: record[name] for name in study.Settings.__dataclass_fields__}
        groups.setdefault(json.dumps(settings | {"seed": None}), set()).add(record["seed"])
        assert not record["stopped"] or record["network"] != "LeNet", record
        assert ("test_acc" in record) == record["test"]
    for settings, seeds in groups.items():
        assert seeds == set(study.SEEDS if json.loads(settings)["test"] else study.TRIAL_SEEDS)


# ---------------------------------------------------------------------------- explorers


def test_shuffling_partly():
    X, permutation = torch.rand(2, 1, 28, 28), torch.randperm(784)
    wholly = X.flatten(1)[:, permutation].reshape(X.shape)
    assert shuffle.shuffle_partly(X, permutation, 1).equal(wholly)
    assert shuffle.shuffle_partly(X, permutation, 0).equal(X)
    half = shuffle.shuffle_partly(X, permutation, 0.5)
    assert half.flatten(1).sort().values.equal(X.flatten(1).sort().values)
    assert 0.2 < (half != X).float().mean() < 0.5


def test_first_guess_counts(images):
    net = lenet.make_lenet()
    explorer = shuffle.ShuffleExplorer(
        {"LeNet": net}, images, torch.randperm(784), lenet.FASHION_LABELS
    )
    assert "100 % of its pixels" in explorer.describe()
    target = explorer.target
    explorer._click(target, 0.5, 0.5)
    explorer._click((target + 1) % 10, 0.5, 0.5)
    assert explorer.guess.value == target and explorer.scores[0]["you"]
    assert "you 1" in explorer.score.value and lenet.FASHION_LABELS[target] in explorer.describe()
    explorer.next.click()
    assert explorer.guess.value is None and not explorer.guess.disabled
    explorer.guess.value = (explorer.target + 1) % 10
    assert "right of 2: you 1" in explorer.score.value


def test_fgsm_raises_the_loss_and_leaves_the_network_alone(chapter):
    net = lenet.make_lenet(nn.Tanh).train()
    X, y = torch.rand(8, 1, 28, 28), torch.arange(8)
    attacked = trust.fgsm(net, X, y, 0.1)
    loss = nn.functional.cross_entropy
    assert loss(net(attacked), y) > loss(net(X), y)
    assert (attacked - X).abs().max() <= 0.1 + 1e-6
    assert attacked.min() >= 0 and attacked.max() <= 1
    assert net.training and all(p.grad is None for p in net.parameters())
    assert attacked.equal(chapter["fgsm"](net, X, y, 0.1))


def test_occlusion_map_of_a_network_that_looks_at_one_pixel(chapter):
    class OnePixel(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(10))

        def forward(self, X):
            return nn.functional.pad(10 * X[:, 0, 20, 3, None], (0, 9)) + self.weight

    X = torch.zeros(1, 1, 28, 28)
    X[..., 20, 3] = 1
    shades = trust.occlusion_map(OnePixel(), X, size=3)
    covers = shades < shades.max() - 0.01
    assert covers.nonzero().tolist() == [[r, c] for r in (19, 20, 21) for c in (2, 3, 4)]
    net = lenet.make_lenet(nn.Tanh)
    X = torch.rand(1, 1, 28, 28)
    everywhere = chapter["cover_everywhere"](net, X, 7)[..., lenet.predict(net, X).argmax()]
    assert torch.allclose(trust.occlusion_map(net, X, 7), everywhere)


def test_temperature_is_that_of_the_logits():
    logits = torch.randn(10)
    found = trust.scaled(logits.softmax(dim=0), 2.5)
    assert torch.allclose(found, (logits / 2.5).softmax(dim=0), atol=1e-6)


def test_trust_explorer_follows_clicks_and_arrows(images):
    explorer = trust.TrustExplorer(lenet.make_lenet(nn.Tanh), images, lenet.FASHION_LABELS)
    explorer._click("place", 0.0, 0.99)
    assert explorer.place == (27, 0)
    explorer._arrow(-1, -1)
    assert explorer.place == (26, 0)
    covered, *_ = explorer.look()
    assert (covered[0, 0, 26, :4] == 0.5).all()
    explorer.epsilon.value = 0.1
    explorer.size.value = 0
    attacked, *_ = explorer.look()
    assert 0 < (attacked - images[[0]][0]).abs().max() <= 0.1 + 1e-6
    assert "an attack of 0.10" in explorer.describe()


# ---------------------------------------------------------------------------- exercises


def solutions():
    """The code under each solution of the chapter, by the number of its exercise."""
    text = "\n".join(c.source for c in nbformat.read(CHAPTER, as_version=4).cells)
    solution = r"### Exercise (6\.\d).*?Solution</summary>.*?```python\n(.*?)```"
    return dict(re.findall(solution, text, re.S))


def solve(number):
    """What the solution of an exercise defines last."""
    names = {"torch": torch, "nn": nn, "lenet": lenet}
    exec(solutions()[number], names)
    return list(names.values())[-1]


CHECKS = {f"6.{i}": getattr(exercises, f"check_6_{i}") for i in (1, 2, 3, 4)}


@pytest.mark.parametrize("number", CHECKS)
def test_solutions_are_right(number):
    assert CHECKS[number](solve(number)).state == "right", CHECKS[number](solve(number))


def surest_first(is_right, confidence):
    return is_right[confidence.argsort(descending=True)].double().cumsum(0)


def first_fall(probabilities, y, accuracy):
    confidence, predicted = probabilities.max(dim=1)
    shares = surest_first(predicted == y, confidence) / torch.arange(1, len(y) + 1)
    below = (shares < accuracy).nonzero()
    return below.min().item() / len(y) if len(below) else 1.0


def own_word(probabilities, y, accuracy):
    return (probabilities.amax(dim=1) >= accuracy).double().mean().item()


def step(sign=-1, clamp=True, only_sign=True):
    def toward(net, X, target, epsilon):
        X = X.clone().requires_grad_()
        y = torch.full((len(X),), target)
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(X), y), X)
        moved = X + sign * epsilon * (gradient.sign() if only_sign else gradient)
        return (moved.clamp(0, 1) if clamp else moved).detach()

    return toward


@pytest.mark.parametrize(
    ("number", "answer", "sentence"),
    [
        ("6.1", 240000, "biases are missing"),
        ("6.1", 2416, "the convolution itself"),
        ("6.1", 16 * 100 * 26, "with one channel"),
        ("6.1", 14 * 14 * 16 * 151, "the maps that go in"),
        ("6.1", 12345, "Count the places"),
        ("6.2", lambda net, permutation: net, "nothing puts the pixels back"),
        (
            "6.2",
            lambda net, permutation: nn.Sequential(
                nn.Flatten(), Take(permutation), nn.Unflatten(1, (1, 28, 28)), net
            ),
            "once more",
        ),
        ("6.3", first_fall, "first falls below"),
        ("6.3", own_word, "by its own word"),
        ("6.3", lambda p, y, accuracy: (p.argmax(dim=1) == y).double().mean(), "over all images"),
        ("6.4", step(sign=1), "leads away from it"),
        ("6.4", step(clamp=False), "have left 0..1"),
        ("6.4", step(only_sign=False), "only its sign"),
        ("6.4", lambda net, X, target, epsilon: X, "Nothing has moved"),
    ],
)
def test_a_misconception_gets_its_sentence(number, answer, sentence):
    feedback = CHECKS[number](answer)
    assert feedback.state == "not yet" and sentence in feedback.text, feedback


class Take(nn.Module):
    def __init__(self, index):
        super().__init__()
        self.index = index

    def forward(self, X):
        return X[:, self.index]
