"""`make faults`: a fault is a test; each row of the report is a test function's docstring.

Unlike the other tests these are tried many times over, and counted: what was handled goes to
results/faults.json, which the README shows.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

REPORT = Path(__file__).resolve().parents[2] / "results" / "faults.json"
ROWS = pytest.StashKey[dict]()


def pytest_configure(config):
    config.stash[ROWS] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and not report.skipped:
        row = item.config.stash[ROWS].setdefault(item.function.__doc__, Counter())
        row["tried"] += 1
        row["handled"] += report.passed
    return report


def pytest_sessionfinish(session):
    """Rows that were not tried in this run keep what they had."""
    rows = session.config.stash[ROWS]
    if not rows or session.config.getoption("workerinput", None):
        return
    known = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
    text = json.dumps(known | rows, indent=1, ensure_ascii=False) + "\n"
    REPORT.write_text(text, encoding="utf-8")
