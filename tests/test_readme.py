"""The README says only what is so: links, commands, pictures and figures."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import fill_readme
import pytest

COURSE = fill_readme.COURSE
README = (COURSE / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\(([^)\s]+)\)|\b(?:src|srcset|href)=\"([^\"]+)\"")
PICTURE = re.compile(r"!\[[^\]]*\]\(|<img\b[^>]*>")
DESCRIPTION = re.compile(r"!\[([^\]]{25,})\]|alt=\"([^\"]{25,})\"")


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSES.md"])
def test_links_to_files_lead_somewhere(page):
    text = (COURSE / page).read_text(encoding="utf-8")
    links = {link for pair in LINK.findall(text) for link in pair if link}
    relative = {link.partition("#")[0] for link in links if ":" not in link}
    assert not {link for link in relative if not (COURSE / link).exists()}


def test_pictures_are_described_in_words():
    pictures = PICTURE.findall(README)
    assert pictures
    assert not [picture for picture in pictures if not DESCRIPTION.search(picture)]


CHAPTERS = "".join(path.read_text() for path in sorted((COURSE / "notebooks").glob("*.ipynb")))
COMMANDS = re.findall(r"(?:^|`)make ([a-z-]+)", README + CHAPTERS, re.MULTILINE)


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_commands_exist(command):
    done = subprocess.run(["make", "-n", command], cwd=COURSE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_code_blocks_hold_the_two_commands_only():
    """Whatever else is to be typed stands in a sentence that says what it does."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert [line.split("#")[0].strip() for block in blocks for line in block.splitlines()] == [
        "make lab",
        "make test",
    ]


def test_figures_are_those_that_were_measured():
    assert fill_readme.fill(README) == README, "run `make readme`"


def test_faults_add_up(monkeypatch):
    found = {"kills": {"tried": 5, "handled": 3}, "floods": {"tried": 2, "handled": 2}}
    monkeypatch.setattr(fill_readme, "read", lambda name: found)
    assert "| **together** | 7 | 5 |" in fill_readme.faults()


def test_variables_in_the_readme_are_those_of_the_course():
    sources = [COURSE / "lenet_helpers.py", *COURSE.glob("lenet_course/**/*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    assert set(re.findall(r"LENET_[A-Z]+", README)) == set(re.findall(r"LENET_[A-Z]+", code))


def test_hooks_for_commits_are_valid_and_can_be_installed(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copy(COURSE / ".pre-commit-config.yaml", tmp_path)
    for command in ("validate-config", "install"):
        done = subprocess.run([sys.executable, "-m", "pre_commit", command], cwd=tmp_path)
        assert done.returncode == 0
    assert (tmp_path / ".git" / "hooks" / "pre-commit").exists()


def test_binder_gets_its_data():
    """Binder runs postBuild in the environment that it has made, here that of the tests."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert subprocess.run([COURSE / "postBuild"], env=os.environ | {"PATH": path}).returncode == 0
