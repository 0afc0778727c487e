"""A quick part of `make faults`: the same functions, with fewer moments."""

import lenet_helpers as lenet

import contextlib

import faults
import pytest
import torch


@pytest.mark.parametrize(
    ("family", "few"),
    [(family, few) for family, _, few in faults.FAMILIES if few],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_survived(family, few):
    outcomes = family(few)
    assert outcomes and not any(outcomes), "\n".join(filter(None, outcomes))


def test_what_is_not_survived_is_said():
    """The families can fail: a fault that does harm, and one that goes unnoticed."""

    def harm():
        raise OSError("disk full")

    assert faults.attempt("saving", harm) == "saving: OSError: disk full"
    net = lenet.make_lenet()
    with pytest.raises(AssertionError, match="it was not refused"):
        faults.refused(lambda: None, "lr", net)
    with pytest.raises(AssertionError, match="does not name 'lr'"):
        faults.refused(lambda: faults.iterators(-1, 0), "lr", net)

    def changes_and_refuses():
        torch.nn.init.zeros_(net[1].weight)
        raise ValueError("lr is wrong")

    with pytest.raises(AssertionError, match="weights were changed"):
        faults.refused(changes_and_refuses, "lr", net)


def test_weights_that_are_not_written_safely_are_found(monkeypatch):
    """Saving straight to the file, as torch.save does: some kill comes in the middle of it."""
    monkeypatch.setattr(lenet, "_write", torch.save)
    with contextlib.suppress(ValueError):
        assert any(faults.saving_killed(50))
