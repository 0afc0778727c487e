"""What the longer studies share: each training is done once and has a record in results/.

A study that was interrupted goes on where it stopped; `--processes 8` trains eight at a time, for
a machine with many cores or a GPU (`LENET_DEVICE=cuda`).
"""

from lenet_course import saved

import argparse
import json
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch


def read_records(output: Path) -> list[dict]:
    """The records that are there already."""
    return json.loads(output.read_text(encoding="utf-8")) if output.exists() else []


def complete(output: Path, plan: Sequence[Any], train: Callable, processes: int) -> list[dict]:
    """Train what `plan` has and the file does not, and return all records.

    `plan` holds dataclasses, `train` makes a record of one, with all of its fields.
    """
    records = read_records(output)
    missing = [s for s in plan if not any(asdict(s).items() <= r.items() for r in records)]
    if not missing:
        return records
    with multiprocessing.get_context("spawn").Pool(processes, torch.set_num_threads, (1,)) as pool:
        for record in pool.imap_unordered(train, missing):
            records.append(record)
            records.sort(key=lambda r: json.dumps(r, sort_keys=True))
            saved.write_json(records, output)
            print(len(records), record, flush=True)
    return records


def ask_processes() -> int:
    """What the command line says after --processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=1, help="trainings at a time")
    return parser.parse_args().processes
