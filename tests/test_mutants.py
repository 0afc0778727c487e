"""The list of mistakes that `make mutants` plants fits the course as it is now."""

from pathlib import Path

import pytest
from mutants import mutants, paths_for, planted

COURSE = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant["why"])
def test_mistake_can_be_planted(mutant):
    original = (COURSE / mutant["file"]).read_text(encoding="utf-8")
    changed = planted(original, *(mutant[key] for key in ("file", "old", "new")))
    assert changed != original and paths_for(mutant["file"])


def test_no_mistake_is_planted_twice():
    for kept in ("file", "why"), ("file", "old", "new"):
        assert len({tuple(map(mutant.get, kept)) for mutant in mutants()}) == len(mutants())
