"""Files that are damaged, are something else, or are being written when the process dies."""

import lenet_helpers as lenet
from lenet_course import saved

import io
import os
import pickle
import random
import signal
import time

import pytest
import torch
from torch import nn

WHOLE = (lenet.COURSE / "notebooks" / "weights" / "fashion_mnist.pt").read_bytes()
CHANCE = random.Random(0)
MOMENTS = [CHANCE.uniform(0, 2) for _ in range(60)]  # of the time that a save takes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where a process can be copied")
@pytest.mark.parametrize("share", MOMENTS)
def test_killed_while_saving(net, same, tmp_path, share):
    """kill -9 while weights are written: the old file or the new one, whole"""
    nets, path = (net, lenet.make_lenet()), tmp_path / "lenet.pt"
    start = time.perf_counter()
    saved.save_weights(net, path)
    one_save = time.perf_counter() - start
    begun, begins = os.pipe()
    writer = os.fork()
    if writer == 0:  # nothing but saving happens here, until it is killed
        torch.set_num_threads(1)
        os.close(begins)
        while True:
            for one in nets:
                saved.save_weights(one, path)
    os.close(begins)
    os.read(begun, 1)  # comes back when the writer has closed its end
    os.close(begun)
    time.sleep(share * one_save)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    weights = saved.load_weights(lenet.make_lenet(), path).state_dict()
    assert any(same(weights, one.state_dict()) for one in nets)
    for left_over in tmp_path.iterdir():
        os.utime(left_over, (0, 0))  # long ago: the next save clears away what is half written
    saved.save_weights(net, path)
    assert list(tmp_path.iterdir()) == [path]


class Evil:
    """A pickle that makes a folder when it is read."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


EVIL = {"network": str(lenet.make_lenet()), "weights": {"1.weight": Evil()}}
LAYERS, WEIGHTS = list(lenet.make_lenet()), lenet.make_lenet().state_dict()
OTHER_NETWORKS = {
    "twelve logits": nn.Sequential(*LAYERS[:-1], nn.Linear(84, 12)),
    "other kernels": nn.Sequential(LAYERS[0], nn.Conv2d(1, 6, 3), *LAYERS[2:]),
    "a layer less": nn.Sequential(*LAYERS[:-1]),
    "a layer more": nn.Sequential(*LAYERS, nn.Linear(10, 10)),
    "ReLU": lenet.make_lenet(nn.ReLU),
}
OTHER_THINGS = {
    "a list": [1, 2],
    "a number": 3,
    "a tensor": torch.zeros(3),
    "numbers": {"1.weight": 3},
    "a network": lenet.make_lenet(),
    "weights alone": WEIGHTS,
    "sparse": EVIL | {"weights": {name: w.to_sparse() for name, w in WEIGHTS.items()}},
    "whole numbers": EVIL | {"weights": {name: w.int() for name, w in WEIGHTS.items()}},
    "code": EVIL,
}


def bytes_of(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def damaged_files():
    """What is wrong with a file, and what is in it."""
    chance = random.Random(0)
    lengths = [0, 1, 3, 100, len(WHOLE) - 1, len(WHOLE) - 22]
    for length in lengths + [chance.randrange(len(WHOLE)) for _ in range(24)]:
        yield f"cut to {length}", WHOLE[:length]
    for at in (chance.randrange(len(WHOLE)) for _ in range(60)):
        byte = bytes([WHOLE[at] ^ (1 << chance.randrange(8))])
        yield f"byte {at} changed", WHOLE[:at] + byte + WHOLE[at + 1 :]
    for what, net in OTHER_NETWORKS.items():
        yield what, bytes_of({"network": str(net), "weights": net.state_dict()})
    for what, content in OTHER_THINGS.items():
        yield what, bytes_of(content)
    yield "code in torch's old format", bytes_of(EVIL, _use_new_zipfile_serialization=False)
    for protocol in range(6):
        yield f"code as pickle {protocol}", pickle.dumps(EVIL, protocol)


@pytest.mark.parametrize(("what", "content"), list(damaged_files()), ids=lambda it: str(it)[:30])
@pytest.mark.parametrize("kind", ["weights", "run"])
def test_damaged(net, same, tmp_path, monkeypatch, what, content, kind):
    """files cut short, changed, of another network, or made to run code: refused"""
    monkeypatch.chdir(tmp_path)
    path, before = tmp_path / "it.pt", lenet.copy_weights(net)
    path.write_bytes(content)
    try:
        saved.load_weights(net, path) if kind == "weights" else saved.load_run(path)
    except ValueError as error:
        assert str(error).startswith("it.pt ") and same(net.state_dict(), before)
    else:  # some bytes mean nothing (padding, dates): then the weights are those saved
        shipped = torch.load(io.BytesIO(WHOLE), weights_only=True)["weights"]
        assert what.startswith("byte") and same(net.state_dict(), shipped)
    assert not (tmp_path / "executed").exists()
