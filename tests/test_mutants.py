"""The list of mistakes that `make mutants` plants fits the course as it is now."""

from pathlib import Path

import pytest
from mutants import MUTANTS, STAGES, plant

COURSE = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{Path(m['file']).stem}: {m['name']}")
def test_mistake_can_be_planted_and_taken_back(mutant, tmp_path):
    original = (COURSE / mutant["file"]).read_text(encoding="utf-8")
    (tmp_path / mutant["file"]).parent.mkdir(exist_ok=True)
    (tmp_path / mutant["file"]).write_text(original, encoding="utf-8")
    mend = plant(tmp_path, mutant)
    assert (tmp_path / mutant["file"]).read_text(encoding="utf-8") != original
    mend()
    assert (tmp_path / mutant["file"]).read_text(encoding="utf-8") == original
    assert mutant["file"] in STAGES


def test_no_mistake_is_planted_twice():
    assert len({(m["file"], m["name"]) for m in MUTANTS}) == len(MUTANTS) >= 40
    assert len({(m["file"], m["old"], m["new"]) for m in MUTANTS}) == len(MUTANTS)
