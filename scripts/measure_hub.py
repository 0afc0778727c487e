"""What a class on one server needs: results/hub.json, by `make hub-figures`.

Twenty students of a real hub have run chapter 2: how much memory does each take, as its share of
what it has in common with others (PSS)? Then 1, 2, 5, 10 and 20 of them train at once: how many
images a second do they get through together?
"""

import lenet_helpers as lenet
from lenet_course import saved

import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

sys.path.insert(0, str(lenet.COURSE / "tests" / "hub"))
import classroom  # found in the line above

OUTPUT = lenet.COURSE / "results" / "hub.json"
CLASS, COUNTS = 20, (1, 2, 5, 10, 20)
SETUP = """
import lenet_helpers as lenet, time
few_batches = list(lenet.load_data_fashion_mnist(256)[0])[:{batches}]
lenet.train_ch6(lenet.make_lenet(), few_batches[:3], few_batches[:1], 1, 0.9, "cpu")
"""
TRAINING = """
tic = time.time()
run = lenet.train_ch6(lenet.make_lenet(), few_batches, few_batches[:1], 1, 0.9, "cpu")
print(run.examples, tic, time.time())
"""


def rate(students: list[classroom.Student]) -> float:
    """Images a second that they get through together, from the first that begins to the last."""
    with ThreadPoolExecutor(len(students)) as pool:
        lines = list(pool.map(lambda student: student.run(TRAINING), students))
    examples, begins, ends = zip(*(map(float, line.split()) for line in lines), strict=True)
    return sum(examples) / (max(ends) - min(begins))


def memory(student: classroom.Student) -> dict[str, float]:
    """Megabytes of a student's kernel and server."""
    kernel = student.kernel_pid()
    parts = {"kernel": 0.0, "server": 0.0}
    for pid in classroom.processes_of(student.home):
        part = "kernel" if pid == kernel else "server"
        parts[part] += psutil.Process(pid).memory_full_info().pss / 1e6
    return parts


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, classroom.hub(Path(folder)) as url:
        begun = time.monotonic()
        students = classroom.open_class(url, Path(folder, "homes"), CLASS)
        seconds = time.monotonic() - begun
        parts = [memory(student) for student in students]
        rates = {}
        for count in COUNTS:
            batches = max(20, 100 // count)
            for student in students[:count]:
                student.run(SETUP.format(batches=batches))
            rates[count] = statistics.median(rate(students[:count]) for _ in range(3))
    figures = {
        "cores": os.cpu_count(),
        "students": CLASS,
        "seconds_until_all_have_run_chapter_2": round(seconds),
        "kernel_MB": round(statistics.mean(part["kernel"] for part in parts)),
        "server_MB": round(statistics.mean(part["server"] for part in parts)),
        "images_per_second": {count: round(rate) for count, rate in rates.items()},
    }
    saved.write_json(figures, OUTPUT)
    print(figures)


if __name__ == "__main__":
    main()
