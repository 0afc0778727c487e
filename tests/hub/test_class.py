"""A class of twenty on one server: the real hub, all signed in at once, trainings side by side.

Without numbers: how fast and in how much memory is measured by `make hub-figures`.
"""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import classroom
import pytest
import requests

CLASS = int(os.environ.get("LENET_CLASS", 20))
SETUP = """
import lenet_helpers as lenet, torch
few_batches = list(lenet.load_data_fashion_mnist(256)[0])[:20]
"""
TRAINING = """
net = lenet.make_lenet()
run = lenet.train_ch6(net, few_batches, few_batches[:1], num_epochs=1, lr=0.9, device="cpu")
print(run.examples, run.stopped)
"""


@pytest.fixture(scope="module")
def students(tmp_path_factory):
    """The class: signed in at once, their servers open, chapter 2 run in each kernel."""
    folder = tmp_path_factory.mktemp("hub")
    with classroom.hub(folder) as url:
        yield classroom.open_class(url, folder / "homes", CLASS)
    assert classroom.processes_of(folder) == {}  # nothing is left running


@pytest.mark.parametrize("count", [1, 2, 5, 10, 20])
def test_trainings_at_once(students, count):
    """Each of them gets its result; none is ended by the others."""
    some = students[:count]
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda student: student.run(SETUP), some))
        printed = list(pool.map(lambda student: student.run(TRAINING), some))
    assert printed == ["5120 \n"] * len(some)


def test_each_has_copies_of_the_own_without_outputs(students):
    for student in students[:3]:
        content = student.api("get", "contents/my-notebooks/03_training.ipynb").json()["content"]
        assert not any(cell.get("outputs") for cell in content["cells"])
        assert student.run("print(lenet.COURSE)").strip() == str(classroom.COURSE)
        assert student.run(
            "from lenet_course import saved; print(saved.runs_folder())"
        ).strip() == (str(student.home / "lenet-runs"))


def test_nobody_gets_into_another_s_server(students):
    one, other = students[:2]
    address = f"{other.server}/api/contents/my-notebooks"
    assert requests.get(address, headers=other.token).ok
    assert requests.get(address, headers=one.token).status_code == 403
    assert requests.get(address, allow_redirects=False).status_code in (302, 403)
    answer = one.session.get(f"{other.server}/lab")
    assert answer.status_code == 403 or "/hub/" in answer.url


def test_work_outlives_a_server_that_is_killed(students):
    """kill -9 at a server and all that it had started; the hub notices, and starts it again."""
    student = students[0]
    student.run("open('mine.txt', 'w').write('my work')")
    path = "contents/my-notebooks/01_network.ipynb"
    notebook = student.api("get", path).json()
    notebook["content"]["cells"][1]["source"] = "mine"
    student.api("put", path, json=notebook).raise_for_status()
    for pid in classroom.processes_of(student.home):
        os.kill(pid, signal.SIGKILL)
    classroom.wait_for(lambda: not student.is_open())
    student.open_server()
    assert student.api("get", path).json()["content"]["cells"][1]["source"] == "mine"
    student.start_kernel()
    assert student.run("print(open('mine.txt').read())") == "my work\n"


def test_the_projector_has_large_type(students):
    url, homes = students[0].url, students[0].home.parent
    projector = classroom.Student(url, "projector", homes)
    projector.sign_in()
    projector.open_server()
    projector.start_kernel()
    assert projector.run("import os; print(os.environ['LENET_PROJECTOR'])") == "1\n"
