"""The data are torchvision's, bit for bit; what is not data is refused in a sentence."""

import lenet_helpers as lenet
from lenet_course import checks, data_files

from pathlib import Path

import fetch_data
import pytest
import torch
import torchvision
import wrong_inputs
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


# ---------------------------------------------------------------------------- files


@pytest.mark.parametrize("value", ["mydata", "~/mydata", "/tmp/mydata", ""])
def test_lenet_data_is_one_folder_wherever_it_is_asked_from(monkeypatch, tmp_path, value):
    monkeypatch.setenv("LENET_DATA", value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = fetch_data.data_folder()
    assert folder == data_files.data_folder()
    assert folder == lenet.COURSE / (value or "data").replace("~", str(tmp_path / "home"))


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


def test_a_damaged_file_is_refused(tmp_path):
    labels = data_files.data_folder() / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    whole, path = labels.read_bytes(), tmp_path / "damaged"
    for content, message in [
        (whole[:-1], "is 10007 bytes long, its header promises 10008"),
        (whole[:2] + b"\x0d" + whole[3:], "is no IDX file of bytes"),  # of floats
    ]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^damaged {message}.*make data"):
            data_files.read_idx(path)


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
        ([], [], "images must be a tensor, it is of type list"),
        (IMAGES, [0, 0, 0], "labels must be a tensor, it is of type list"),
    ],
)
def test_a_dataset_refuses(images, labels, message):
    with pytest.raises(ValueError, match=message):
        lenet.ImageDataset(images, labels)


@pytest.mark.parametrize("what", wrong_inputs.BATCHES)
def test_a_wrong_batch_is_refused(what):
    (X, y), message = wrong_inputs.BATCHES[what]
    with pytest.raises(ValueError, match=message):
        checks.batch(X, y)


def test_black_and_white_images_and_all_labels_are_taken():
    X, y = wrong_inputs.X, wrong_inputs.Y
    checks.batch(X * 0, y)
    checks.batch(X * 2)
