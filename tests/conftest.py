"""What several test files need: the data, read once, and small pieces of it."""

import lenet_helpers as lenet  # before torch

import pytest
import torch


@pytest.fixture(scope="session")
def fashion():
    """All of Fashion-MNIST, as (training images, test images)."""
    return tuple(lenet.load_images("FashionMNIST", train) for train in (True, False))


@pytest.fixture(scope="session")
def first_images(fashion):
    """A function: the first `count` training images."""
    train, _ = fashion
    return lambda count: lenet.ImageDataset(train.images[:count], train.labels[:count])


@pytest.fixture
def train_iter(first_images):
    """1280 training images in five batches of 256."""
    return lenet.batches(first_images(1280), batch_size=256, shuffle=True)


@pytest.fixture
def test_iter(fashion):
    """1000 test images in two batches."""
    images = lenet.ImageDataset(fashion[1].images[:1000], fashion[1].labels[:1000])
    return lenet.batches(images, batch_size=500, shuffle=False)


@pytest.fixture
def net():
    """A LeNet with the weights of seed 0."""
    torch.manual_seed(0)
    return lenet.make_lenet()


@pytest.fixture(scope="session")
def same():
    """A function: whether two state dicts hold the same numbers."""

    def same(one, other):
        names = one.keys()
        return names == other.keys() and all(torch.equal(one[name], other[name]) for name in names)

    return same
