"""Files that are damaged, are something else, or are being written when the process dies."""

import lenet_helpers as lenet
from lenet_course import saved

import io
import os
import pickle
import random
import signal
import time
from functools import cache

import pytest
import torch
from torch import nn

SHIPPED = lenet.COURSE / "notebooks" / "weights" / "fashion_mnist.pt"
WHOLE = SHIPPED.read_bytes()
CHANCE = random.Random(0)
MOMENTS = [CHANCE.uniform(0, 2) for _ in range(60)]  # of the time that a save takes


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@cache
def two_nets():
    torch.manual_seed(0)
    return lenet.make_lenet(), lenet.make_lenet()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where a process can be copied")
@pytest.mark.parametrize("share", MOMENTS)
def test_killed_while_saving(share, tmp_path):
    """kill -9 while weights are written: the old file or the new one, whole"""
    nets, path = two_nets(), tmp_path / "lenet.pt"
    start = time.perf_counter()
    saved.save_weights(nets[1], path)
    one_save = time.perf_counter() - start
    begun, begins = os.pipe()
    writer = os.fork()
    if writer == 0:  # nothing but saving happens here, until it is killed
        torch.set_num_threads(1)
        os.close(begins)
        while True:
            for net in nets:
                saved.save_weights(net, path)
    os.close(begins)
    os.read(begun, 1)  # comes back when the writer has closed its end
    os.close(begun)
    time.sleep(share * one_save)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    weights = lenet.copy_weights(saved.load_weights(lenet.make_lenet(), path))
    assert any(same(weights, lenet.copy_weights(net)) for net in nets)
    for left_over in tmp_path.iterdir():
        os.utime(left_over, (0, 0))  # long ago: the next save clears away what is half written
    saved.save_weights(nets[0], path)
    assert list(tmp_path.iterdir()) == [path]


class Evil:
    """A pickle that makes a folder when it is read."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def bytes_of(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def damaged_files():
    chance = random.Random(0)
    lengths = [0, 1, 3, 100, len(WHOLE) - 1, len(WHOLE) - 22]
    for length in lengths + [chance.randrange(len(WHOLE)) for _ in range(24)]:
        yield f"cut to {length}", WHOLE[:length]
    for at in (chance.randrange(len(WHOLE)) for _ in range(60)):
        byte = bytes([WHOLE[at] ^ (1 << chance.randrange(8))])
        yield f"byte {at} changed", WHOLE[:at] + byte + WHOLE[at + 1 :]
    evil = {"network": str(lenet.make_lenet()), "weights": {"1.weight": Evil()}}
    yield "code in torch's format", bytes_of(evil)
    yield "code in its old format", bytes_of(evil, _use_new_zipfile_serialization=False)
    for protocol in range(6):
        yield f"code as pickle {protocol}", pickle.dumps(evil, protocol)
    layers, weights = list(lenet.make_lenet()), lenet.make_lenet().state_dict()
    for what, other in {
        "twelve logits": [*layers[:-1], nn.Linear(84, 12)],
        "other kernels": [layers[0], nn.Conv2d(1, 6, 3), *layers[2:]],
        "a layer less": layers[:-1],
        "a layer more": [*layers, nn.Linear(10, 10)],
        "ReLU": lenet.make_lenet(nn.ReLU),
    }.items():
        net = nn.Sequential(*other)
        yield what, bytes_of({"network": str(net), "weights": net.state_dict()})
    for what, other in {
        "a list": [1, 2], "a number": 3, "a tensor": torch.zeros(3), "numbers": {"1.weight": 3},
        "a network": lenet.make_lenet(), "weights alone": weights,
        "sparse": {**evil, "weights": {n: w.to_sparse() for n, w in weights.items()}},
        "whole numbers": {**evil, "weights": {n: w.int() for n, w in weights.items()}},
    }.items():  # fmt: skip
        yield what, bytes_of(other)


@pytest.mark.parametrize(("what", "content"), list(damaged_files()), ids=lambda it: str(it)[:30])
@pytest.mark.parametrize("kind", ["weights", "run"])
def test_damaged(what, content, kind, tmp_path, monkeypatch):
    """files cut short, changed, of another network, or made to run code: refused"""
    monkeypatch.chdir(tmp_path)
    path, net = tmp_path / "it.pt", lenet.make_lenet()
    path.write_bytes(content)
    before = lenet.copy_weights(net)
    shipped = torch.load(SHIPPED, weights_only=True)["weights"]
    try:
        saved.load_weights(net, path) if kind == "weights" else saved.load_run(path)
    except ValueError as error:
        assert str(error).startswith("it.pt ") and same(lenet.copy_weights(net), before)
    else:  # some bytes mean nothing (padding, dates): then the weights are those saved
        assert what.startswith("byte") and same(lenet.copy_weights(net), shipped)
    assert not (tmp_path / "executed").exists()


def test_the_files_made_to_run_code_would_run_it(tmp_path, monkeypatch):
    """files made to run code do run it where they are read without care"""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Evil()))
    assert (tmp_path / "executed").exists()
