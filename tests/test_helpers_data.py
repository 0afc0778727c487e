"""The data are torchvision's, bit for bit; what is not data is refused in a sentence."""

import lenet_helpers as lenet
from lenet_course import checks, data_files

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from d2l import torch as d2l


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("dataset", ["FashionMNIST", "MNIST"])
def test_equals_torchvision_s_reading(dataset, train):
    reader = getattr(torchvision.datasets, dataset)
    theirs = reader(
        data_files.data_folder(), train=train, transform=torchvision.transforms.ToTensor()
    )
    ours = lenet.load_images(dataset, train)
    assert len(ours) == len(theirs) == (60_000 if train else 10_000)
    assert torch.equal(ours.images, theirs.data)
    assert torch.equal(ours.labels.long(), theirs.targets)
    X, y = ours[7]
    assert torch.equal(X, theirs[7][0]) and y == theirs[7][1]


@pytest.mark.parametrize("index", [[5], [4, 0, 4], [-1], [], 3, slice(2, 5), torch.tensor([1, 2])])
def test_whatever_indexes_a_tensor_indexes_the_images(first_images, index):
    images = first_images(6)
    X, y = images[index]
    assert torch.equal(X, images.images[:, None][index] / 255)
    assert torch.equal(y, images.labels.long()[index])


def test_names_of_the_classes():
    assert d2l.get_fashion_mnist_labels(range(10)) == lenet.FASHION_LABELS
    assert list("0123456789") == lenet.DIGITS


@pytest.mark.parametrize(
    ("load", "dataset"),
    [(lenet.load_data_fashion_mnist, "FashionMNIST"), (lenet.load_data_mnist, "MNIST")],
)
def test_iterators(load, dataset):
    train_iter, test_iter = load(batch_size=256)
    assert (len(train_iter), len(test_iter)) == (235, 40)
    assert [len(part.dataset) for part in (train_iter, test_iter)] == [60_000, 10_000]
    images = lenet.load_images(dataset, train=False)
    X, y = next(iter(test_iter))
    assert (X.shape, X.dtype) == ((256, 1, 28, 28), torch.float32)
    assert (y.shape, y.dtype) == ((256,), torch.int64)
    assert torch.equal(X, images.images[:256, None] / 255)
    assert torch.equal(y, images.labels[:256].long())


def labels(data_iter):
    return torch.cat([y for _, y in data_iter])


def test_training_data_are_shuffled_anew_every_epoch(fashion):
    train_iter, _ = lenet.load_data_fashion_mnist(batch_size=10_000)
    first, second = labels(train_iter), labels(train_iter)
    in_file_order = fashion[0].labels.long()
    for one, other in [(first, in_file_order), (second, in_file_order), (first, second)]:
        assert (one == other).float().mean() < 0.15  # a tenth is equal by chance


def test_every_image_comes_once_an_epoch_with_its_own_label(first_images):
    images = first_images(1000)
    batches = list(lenet.batches(images, batch_size=300, shuffle=True))
    assert [len(y) for _, y in batches] == [300, 300, 300, 100]
    found = torch.cat([X for X, _ in batches]).flatten(1), torch.cat([y for _, y in batches])
    pairs = {(image.numpy().tobytes(), int(y)) for image, y in zip(*found, strict=True)}
    expected = images[list(range(1000))]
    assert pairs == {
        (image.numpy().tobytes(), int(y))
        for image, y in zip(expected[0].flatten(1), expected[1], strict=True)
    }


def test_a_seed_repeats_the_order(first_images):
    train_iter = lenet.batches(first_images(1000), batch_size=100, shuffle=True)
    orders = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        orders.append(labels(train_iter))
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])


def test_test_data_keep_their_order(fashion):
    _, test_iter = lenet.load_data_fashion_mnist(batch_size=3000)
    assert torch.equal(labels(test_iter), fashion[1].labels.long())


# ---------------------------------------------------------------------------- files


def test_data_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.delenv("LENET_DATA", raising=False)
    assert data_files.data_folder() == lenet.COURSE / "data"
    monkeypatch.setenv("LENET_DATA", str(tmp_path))
    assert data_files.data_folder() == tmp_path
    monkeypatch.setenv("LENET_DATA", "mine")  # wherever the notebook is that asks
    assert data_files.data_folder() == lenet.COURSE / "mine"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LENET_DATA", "~/mine")
    assert data_files.data_folder() == tmp_path / "mine"


@pytest.mark.parametrize("name", ["data", "elsewhere"])
def test_d2l_s_loaders_read_beside_the_data(monkeypatch, tmp_path, name):
    (tmp_path / name / "MNIST").mkdir(parents=True)
    monkeypatch.setenv("LENET_DATA", str(tmp_path / name))
    before = Path.cwd()
    with data_files.beside_data():
        assert Path("../data/MNIST").is_dir()
    assert Path.cwd() == before


def test_missing_file_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("LENET_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        lenet.load_images("MNIST", train=False)
    assert "t10k-images-idx3-ubyte is not in" in str(caught.value)
    assert "make data" in str(caught.value) and "LENET_DATA" in str(caught.value)


@pytest.fixture
def labels_file(tmp_path):
    original = data_files.data_folder() / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    return shutil.copy(original, tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "is 10007 bytes long, its header promises 10008"),
        (lambda content: content + b"\0", "is 10009 bytes long, its header promises 10008"),
        (lambda content: b"", "is no IDX file of bytes"),
        (lambda content: b"\1" + content[1:], "is no IDX file of bytes"),
        (lambda content: content[:2] + b"\x0d" + content[3:], "is no IDX file of bytes"),
    ],
    ids=["short", "long", "empty", "no IDX", "floats"],
)
def test_damaged_file_is_refused(labels_file, damage, message):
    with open(labels_file, "r+b") as file:
        content = damage(file.read())
        file.seek(0)
        file.truncate()
        file.write(content)
    with pytest.raises(ValueError, match=message) as caught:
        data_files.read_idx(labels_file)
    assert "make data" in str(caught.value)


def test_reads_whatever_shape_the_header_names(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    sizes = np.array(values.shape, ">u4").tobytes()
    (tmp_path / "small").write_bytes(b"\0\0\x08\3" + sizes + values.tobytes())
    assert torch.equal(data_files.read_idx(tmp_path / "small"), torch.tensor(values))


# ---------------------------------------------------------------------------- what is refused


IMAGES, LABELS = torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.float(), LABELS, "images must be torch.uint8 .* not torch.float32"),
        (IMAGES[:, 1:], LABELS, r"\(N, 28, 28\), with N labels, not torch.uint8 \(3, 27, 28\)"),
        (IMAGES, LABELS[:2], r"torch.uint8 \(3, 28, 28\), with 2 labels"),
        (IMAGES, LABELS + 10, "labels must be 0 to 9, these go from 10 to 10"),
        (IMAGES, LABELS.char() - 1, "labels must be 0 to 9, these go from -1 to -1"),
    ],
)
def test_a_dataset_refuses(images, labels, message):
    with pytest.raises(ValueError, match=message):
        lenet.ImageDataset(images, labels)


X, Y = torch.full((4, 1, 28, 28), 0.5), torch.tensor([0, 9, 5, 1])


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (X[:, 0], Y, r"X must be float32 \(B, 1, 28, 28\), it is torch.float32 \(4, 28, 28\)"),
        (X[..., 1:], Y, r"it is torch.float32 \(4, 1, 28, 27\)"),
        (X.repeat(1, 3, 1, 1), Y, r"it is torch.float32 \(4, 3, 28, 28\)"),
        (X.double(), Y, "X must be float32 .*, it is torch.float64"),
        (X[:0], Y[:0], r"it is torch.float32 \(0, 1, 28, 28\)"),
        (X * 510, Y, r"pixels must lie in 0..1, these go from 255 to 255"),
        (X - 0.6, Y, r"pixels must lie in 0..1, these go from -0.1 to -0.1"),
        (X * float("nan"), Y, r"pixels must lie in 0..1, these go from nan to nan"),
        (X, Y[:3], r"y must be int64 \(4,\), it is torch.int64 \(3,\)"),
        (X, Y.int(), r"y must be int64 \(4,\), it is torch.int32 \(4,\)"),
        (X, Y + 1, "labels must be 0 to 9, these go from 1 to 10"),
        (X, Y - 1, "labels must be 0 to 9, these go from -1 to 8"),
    ],
)
def test_check_batch_refuses(X, y, message):
    with pytest.raises(ValueError, match=message):
        checks.batch(X, y)


def test_check_batch_takes_what_is_right():
    checks.batch(X, Y)
    checks.batch(X[:1] * 0)
    checks.batch(X[:1] * 2, Y[1:2])
