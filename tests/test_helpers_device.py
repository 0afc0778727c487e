"""The device is the best there is that works; and importing the module stays quick."""

import lenet_helpers as lenet

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


def test_training_and_evaluation_use_the_device(net, train_iter, test_iter, monkeypatch):
    """On PyTorch's device without memory, `meta`: what stays on the CPU by mistake is an error."""
    X, y = next(iter(test_iter))
    net.to("meta")
    with pytest.raises(NotImplementedError, match="meta tensor"):  # the batch did move there
        lenet.predict(net, X)
    with pytest.raises((NotImplementedError, RuntimeError), match=r"meta|item"):
        lenet.evaluate_accuracy_gpu(net, [(X, y)])


def test_importing_the_module_is_quick_and_first():
    """d2l and torchvision would triple the time of a chapter's first cell."""
    code = (
        "import lenet_helpers, os, sys;"
        "print([name for name in ('d2l', 'torchvision', 'matplotlib') if name in sys.modules],"
        "os.environ['OMP_WAIT_POLICY'], os.environ['GOMP_SPINCOUNT'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[] PASSIVE 0"
