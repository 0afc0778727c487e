"""The device is the best there is that works; and importing the module stays quick."""

import lenet_helpers as lenet

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


@pytest.mark.parametrize(
    ("there", "working", "expected"),
    [
        (["cuda", "mps"], ["cuda", "mps"], "cuda"),
        (["mps"], ["mps"], "mps"),
        (["cuda", "mps"], ["mps"], "mps"),
        (["cuda"], [], "cpu"),
    ],
)
def test_first_cuda_then_mps_then_the_cpu(monkeypatch, capsys, there, working, expected):
    """GPUs are played by functions that answer as PyTorch does on such machines."""
    asked = []

    def empty(size, *, dtype, device):
        asked.append(size * dtype.itemsize)
        if device not in working:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 256 MiB.\nMore.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    monkeypatch.setattr(torch, "empty", empty)
    assert lenet.try_device() == torch.device(expected)
    assert set(asked) == {lenet.ROOM_FOR_TRAINING}
    said = capsys.readouterr().out
    if expected == "cpu":
        assert said == (
            "training on the CPU, the GPU cannot be used: "
            "CUDA out of memory. Tried to allocate 256 MiB.\n"
        )
    else:
        assert said == ""


def test_evaluation_and_prediction_happen_on_the_network_s_device(net, test_iter):
    """On PyTorch's device without memory, `meta`, all works but the reading of the result."""
    net.to("meta")
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        lenet.predict(net, next(iter(test_iter))[0])
    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta tensors"):
        lenet.evaluate_accuracy_gpu(net, test_iter)


def test_training_moves_every_batch_to_the_device(net, train_iter, test_iter, monkeypatch):
    moved, to = [], torch.Tensor.to

    def watched(tensor, *args, **kwargs):
        if len(tensor) == 256:  # a batch of images or of labels
            moved.append((tensor.dim(), *args))
        return to(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", watched)
    lenet.train_ch6(net, train_iter, test_iter, num_epochs=1, lr=0.1, device="cpu")
    assert moved == [(4, torch.device("cpu")), (1, torch.device("cpu"))] * 5


def test_importing_the_module_is_quick_and_first():
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
    assert done.stdout.split("\n")[0] == "[] PASSIVE 10000"
