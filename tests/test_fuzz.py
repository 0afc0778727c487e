"""Whatever a file holds, what reads it answers with what it should hold, or with one sentence.

Three hundred files each, the same ones every time: arbitrary bytes, and real files cut, lengthened
and changed. The exercises' checks are treated so in test_exercises.py.
"""

import lenet_helpers as lenet
from lenet_course import data_files, saved

import io
import struct
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

hundreds = settings(
    max_examples=300, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
NAME = "file.bin"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / NAME


def refused(read, *arguments):
    """What `read` returns, or None if it refuses in a sentence; any other error fails the test."""
    try:
        return read(*arguments)
    except ValueError as error:
        sentence = str(error)
        assert sentence.startswith(f"{NAME} ") and "\n" not in sentence and len(sentence) < 300
        return None


@st.composite
def changed(draw, original):
    """`original` with a part cut out, bytes put in, or bytes overwritten; at times all of it."""
    content = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        # As often in the first bytes, where the meaning is, as anywhere.
        start = draw(st.integers(0, 20) | st.integers(0, len(content)))
        removed = draw(st.sampled_from([0, 1, 4]) | st.integers(0, len(content)))
        content[start : start + removed] = draw(st.binary(max_size=8))
    return bytes(content)


# ---------------------------------------------------------------------------- IDX


sizes = st.lists(st.integers(0, 4) | st.integers(0, 2**32 - 1), max_size=5)
headers = st.builds(
    lambda magic, count, sizes: magic + bytes([count]) + struct.pack(f">{len(sizes)}I", *sizes),
    st.just(b"\0\0\x08") | st.binary(min_size=3, max_size=3),
    st.integers(0, 4) | st.integers(0, 255),
    sizes,
)
small = b"\0\0\x08\3" + struct.pack(">3I", 2, 3, 4) + bytes(range(24))
idx_files = st.binary(max_size=40) | changed(small) | st.builds(bytes.__add__, headers, st.binary())


@hundreds
@given(idx_files)
def test_idx_files(path, content):
    path.write_bytes(content)
    values = refused(data_files.read_idx, path)
    if values is not None:  # all of the file is in it, and nothing else
        assert values.dtype == torch.uint8 and values.numel() > 0
        assert content[:4] == b"\0\0\x08" + bytes([values.dim()])
        assert content[4:] == struct.pack(f">{values.dim()}I", *values.shape) + bytes(
            values.flatten().tolist()
        )


# ---------------------------------------------------------------------------- weights


def file_of(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


class Small(nn.Module):
    """A few weights, so that hundreds of files are read in seconds."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.0).reshape(2, 3))
        self.bias = nn.Parameter(torch.tensor([-1.0, -2.0]))


WEIGHTS = lenet.copy_weights(Small())
RUN = lenet.Run("small", 2, 0.9, "cpu", train=[(1.0, 2.3, 0.1)], test=[(1.0, 0.1)])
RUN.checkpoints.append(WEIGHTS)
OLD_FORMAT = {"_use_new_zipfile_serialization": False}

odd_tensors = st.sampled_from(
    [torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.complex64),
     torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3).to_sparse(), torch.zeros(2, 3) / 0,
     torch.empty(2, 3, device="meta"), torch.zeros(()), torch.zeros(3, 2), torch.zeros(0)]
)  # fmt: skip
plain = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.binary(max_size=5) | odd_tensors
)  # fmt: skip
anything = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner)
    | st.dictionaries(st.text(max_size=5) | st.integers() | st.sampled_from([*WEIGHTS]), inner),
    max_leaves=5,
)  # fmt: skip


def contents(whole):
    """`whole` with some of its values exchanged, some missing and some more, or anything else."""
    exchanged = st.fixed_dictionaries({}, optional=dict.fromkeys(whole, anything))
    more = st.dictionaries(st.text(max_size=5), anything, max_size=1)
    return anything | st.builds(lambda *parts: whole | parts[0] | parts[1], exchanged, more)


def files(whole):
    bytes_of = (
        st.binary(max_size=200) | changed(file_of(whole)) | changed(file_of(whole, **OLD_FORMAT))
    )
    return bytes_of | contents(whole).map(file_of)


@hundreds
@given(files({"network": str(Small()), "weights": WEIGHTS}))
def test_files_of_weights(path, same, content):
    path.write_bytes(content)
    net = Small()
    if refused(saved.load_weights, net, path) is None:
        assert same(net.state_dict(), WEIGHTS)


@hundreds
@given(files(asdict(RUN)))
def test_files_of_a_run(path, content):
    path.write_bytes(content)
    run = refused(saved.load_run, path)
    if run is not None:
        for name, value in asdict(RUN).items():
            found = getattr(run, name)
            assert type(found) is type(value) or {type(found), type(value)} <= {int, bool, float}


def test_a_changed_byte_in_a_real_file_is_noticed(path, net, same):
    """Each byte of weights stands under a checksum: what is loaded is what was saved."""
    saved.save_weights(net, path)
    content, written = path.read_bytes(), lenet.copy_weights(net)
    other = lenet.make_lenet()
    before, noticed = lenet.copy_weights(other), 0
    for at in np.random.default_rng(0).integers(len(content), size=100):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        other.load_state_dict(before)
        known = before if refused(saved.load_weights, other, path) is None else written
        assert same(other.state_dict(), known)
        noticed += known is before
    assert noticed > 93  # the rest hit what is no weight: padding, dates
