"""The device is the best there is that works; and importing the module loads little."""

import lenet_helpers as lenet
from lenet_course import speed

import os
import subprocess
import sys

import pytest
import torch


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    monkeypatch.delenv("LENET_DEVICE", raising=False)


def test_named_device_is_taken(monkeypatch):
    monkeypatch.setenv("LENET_DEVICE", "meta")
    assert lenet.try_device() == torch.device("meta")


@pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU here"
)
def test_without_a_gpu_it_is_the_cpu(capsys):
    assert lenet.try_device() == torch.device("cpu")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("works", [True, False])
def test_an_accelerator_is_taken_if_it_can_be_used(monkeypatch, capsys, works):
    """It is played by functions that answer as PyTorch does where there is one."""

    def empty(size, *, dtype, device):
        if not works:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 256 MiB.\nMore.")

    cuda = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: cuda)
    monkeypatch.setattr(torch, "empty", empty)
    assert lenet.try_device() == (cuda if works else torch.device("cpu"))
    assert capsys.readouterr().out == (
        ""
        if works
        else "training on the CPU, cuda cannot be used: CUDA out of memory. "
        "Tried to allocate 256 MiB.\n"
    )


def test_evaluation_and_prediction_happen_on_the_network_s_device(net, test_iter):
    """On PyTorch's device without memory, `meta`, all works but there are no logits to be read."""
    net.to("meta")
    for use in (lenet.evaluate_accuracy_gpu, lambda net, it: lenet.predict(net, next(iter(it))[0])):
        with pytest.raises(ValueError, match=r"the network must hold numbers: it is on .* meta"):
            use(net, test_iter)


def test_training_moves_every_batch_to_the_device(net, train_iter, test_iter, monkeypatch):
    moved, to = [], torch.Tensor.to

    def watched(tensor, *args, **kwargs):
        if len(tensor) == 256:  # a batch of images or of labels
            moved.append((tensor.dim(), *args))
        return to(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", watched)
    lenet.train_ch6(net, train_iter, test_iter, num_epochs=1, lr=0.1, device="cpu")
    assert moved == [(4, "cpu"), (1, "cpu")] * 5


def test_importing_the_module_loads_little_and_makes_its_settings():
    """d2l and torchvision would triple the time of a chapter's first cell."""
    code = (
        "import lenet_helpers, os, sys;"
        "print([name for name in ('d2l', 'torchvision', 'matplotlib') if name in sys.modules],"
        "os.environ['OMP_WAIT_POLICY'], os.environ['GOMP_SPINCOUNT'])"
    )
    env = {name: os.environ[name] for name in os.environ if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "[] PASSIVE 1000"


def test_only_batch_normalisation_keeps_channels_first():
    net = lenet.make_lenet()
    assert speed.fastest_layout(net) is torch.channels_last
    net.insert(2, torch.nn.BatchNorm2d(6))
    assert speed.fastest_layout(net) is torch.contiguous_format
