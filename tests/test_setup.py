"""The way from a clone to a running course, and what a user reads where it is blocked.

Most of it happens in a copy of the course in a folder whose name has blanks in it. A small wheel
that is made here stands for the gigabytes of the real list; pip and venv are the real ones.
"""

import contextlib
import importlib.metadata
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import make_env
import open_lab
import psutil
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = "http://127.0.0.1:1/simple"  # a port that nobody listens on
MAKE = shutil.which("make")

# Root may write anywhere: with these words before a command, it gives up that right first.
AS_A_USER = ["setpriv", "--bounding-set", "-dac_override"] if os.getuid() == 0 else []

# Pythons other than 3.11 on this machine, and one that every machine has: a stand-in for 3.14.
OTHERS = [
    python
    for minor in (6, 7, 8, 9, 10, 12, 13, 14)
    if (python := shutil.which(f"python3.{minor}"))
    and make_env.version(python) == f"3.{minor}"  # pyenv's do not all run
]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course without its environment and data."""
    folder = tmp_path_factory.mktemp("set-up") / "The LeNet course"
    folder.mkdir()
    shutil.copytree(
        ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("Makefile", "environment.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def run(folder, *command, **changes):
    """Run a command as a user in `folder` would; return exit code, what it printed, its errors.

    Errors come without make's own last line ("make: *** [Makefile:1: env] Error 1").
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "PIP_", "PYTHON"))  # `make test` set some
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | changes,
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert "Traceback" not in done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines(True) if not line.startswith("make: ***")]
    return done.returncode, done.stdout, "".join(errors)


def test_help_says_what_every_command_does(course):
    code, printed, _ = run(course, MAKE)
    assert code == 0
    assert run(course, MAKE, "help")[1] == printed
    told = re.findall(r"^  make (\S+) +(\S.*)$", printed, re.MULTILINE)
    targets = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {target for target, _ in told} == set(targets) - {"chromium"}  # a part of test-browser
    assert max(map(len, printed.splitlines())) <= 100


def test_environment_yml_is_the_list_that_is_installed():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, last = environment["dependencies"]
    assert conda == ["python=3.11", "pip"]
    assert last["pip"] == make_env.packages()
    assert make_env.packages()[-1] == "-e ."


@pytest.mark.parametrize("package", [line for line in make_env.packages() if "==" in line])
def test_what_is_installed_is_what_is_pinned(package):
    name, pin = package.split("==")
    assert importlib.metadata.version(name) == pin


def test_nothing_installed_is_at_odds(course):
    assert run(course, sys.executable, "-m", "pip", "check")[0] == 0


@pytest.mark.parametrize("python", [*OTHERS, "stand-in"])
def test_with_another_python_one_sentence_says_what_to_do(course, tmp_path, python):
    version = python.rpartition("python")[2]
    if python == "stand-in":
        python, version = str(tmp_path / "python"), "3.14"
        Path(python).write_text(f"#!/bin/sh\necho {version}\n")
        Path(python).chmod(0o755)
    sentence = (
        f"set-up: the course needs Python 3.11, and {python} is Python {version}; install Python "
        "3.11 beside it, or say where it is with PYTHON=/path/to/python3.11\n"
    )
    assert run(course, MAKE, "lab", f"PYTHON={python}") == (2, "", sentence)
    if python in OTHERS:  # this Python can also run the script itself
        environment = {"PYTHON": python}
        assert run(course, python, "scripts/make_env.py", **environment) == (1, "", sentence)


def test_with_a_python_that_is_not_there(course):
    code, _, sentence = run(course, MAKE, "lab", "PYTHON=/no/such/python")
    assert code == 2
    assert sentence.startswith("set-up: the course needs Python 3.11, and /no/such/python does not")


def test_without_any_python(course, tmp_path):
    code, _, sentence = run(course, MAKE, "lab", PATH=str(tmp_path))
    assert code == 2
    assert sentence == (
        "set-up: there is no Python here; install Python 3.11, and run the same command again\n"
    )


def test_without_chromium(course, tmp_path):
    code, _, sentence = run(course, MAKE, "test-browser", PATH=str(tmp_path))
    assert code == 2
    assert sentence == (
        "make test-browser: Chromium is missing; install it (on Debian: sudo apt install "
        "chromium), and run it again\n"
    )


@pytest.mark.parametrize("failing", ["lint", "test", "test-browser", "nothing"])
def test_ci_stops_at_the_first_check_that_fails(tmp_path, failing):
    """The real script; the tools it needs are there, and `make` only says what it is asked for."""
    (tmp_path / "make").write_text(f'#!/bin/sh\necho "make $1"\ntest "$1" != {failing}\n')
    for name in ("npm", "chromium", "python3.11"):
        (tmp_path / name).write_text("#!/bin/sh\n")
    for tool in tmp_path.iterdir():
        tool.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    code, printed, _ = run("/", "bash", str(ROOT / ".ci/run"), PATH=path)
    checks = ["lint", "test", "test-browser"]
    if failing in checks:
        checks = checks[: checks.index(failing) + 1]
    assert (code == 0) == (failing == "nothing")
    assert printed == "".join(f"make {check}\n" for check in checks)


def make_wheel(folder, name, files):
    """Make a wheel of `files` modules whose METADATA is installed before they are."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-1.0.dist-info"
    members = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **{f"{name}/part{i}.py": "" for i in range(files)},
    }
    members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*members, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in members.items():
            wheel.writestr(path, text)


def test_a_set_up_that_fails_is_finished_by_the_same_command(course, tmp_path):
    """No network, then a kill -9 in the middle of pip, then it goes through; all in one .venv."""
    many = 1500
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "tiny", many)
    small_list = "dependencies:\n  - pip:\n      - tiny==1.0  # stands for gigabytes\n"
    (course / "environment.yml").write_text(small_list)
    env = [MAKE, "env", f"PYTHON={sys.executable}"]
    no_config = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
    offline = {**no_config, "PIP_INDEX_URL": NOWHERE, "PIP_RETRIES": "1"}
    online = {**no_config, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}

    code, printed, sentence = run(course, *env, **offline)
    assert (code, sentence) == (
        2,
        "set-up: the packages could not be installed: the packages cannot be downloaded; "
        "connect to the internet, then run the same command again\n",
    )
    assert "Making .venv" in printed

    process = subprocess.Popen(
        env, cwd=course, env=os.environ | online, start_new_session=True, stdout=subprocess.DEVNULL
    )
    site = next((course / ".venv/lib").glob("python3.11")) / "site-packages"
    wait_for((site / "tiny").exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list((site / "tiny").glob("*.py"))) < many
    assert (site / "tiny-1.0.dist-info/METADATA").exists()  # so that pip takes it for installed

    code, printed, sentence = run(course, *env, **online)
    assert (code, sentence) == (0, "")
    assert "Making .venv" not in printed  # it went on with the first one's
    assert printed.endswith("The environment in .venv is ready.\n")
    assert len(list((site / "tiny").glob("*.py"))) == many
    assert run(course, ".venv/bin/python", "-c", "import tiny.part0")[0] == 0

    assert run(course, *env, **offline) == (0, "", "")  # nothing is left to do
    course.chmod(0o555)
    assert run(course, *AS_A_USER, *env, **offline) == (0, "", "")  # as on a shared server
    course.chmod(0o755)

    (course / "environment.yml").write_text(small_list.replace("tiny==1.0", "other==1.0"))
    make_wheel(wheels, "other", 1)
    assert run(course, *env, **online)[0] == 0  # another list is another environment
    assert (site / "other").exists()


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_on_a_full_disk(course, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may make the small disk that this test fills")
    try:
        for name in ("scripts", "environment.yml"):
            subprocess.run(["cp", "-r", course / name, disk], check=True)
        python = {"PYTHON": sys.executable}
        code, _, sentence = run(disk, sys.executable, "scripts/make_env.py", **python)
    finally:
        subprocess.run(["umount", disk], check=True)
    assert code == 1
    assert sentence.endswith(
        ": the disk is full; make room (6 GB on Linux), then run the same command again\n"
    )
    assert sentence.count("\n") == 1


def test_in_a_folder_that_cannot_be_written(tmp_path):
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "environment.yml", tmp_path)
    tmp_path.chmod(0o555)
    code, printed, sentence = run(tmp_path, *AS_A_USER, sys.executable, "scripts/make_env.py")
    tmp_path.chmod(0o755)
    assert (code, printed) == (1, "")
    assert sentence == (
        "set-up: cannot write build (Permission denied); make room or copy the course to a folder "
        "of your own, then run it again\n"
    )


def test_clean_keeps_data_results_and_your_own_runs(course):
    kept = ["data/MNIST/raw/images", "results/bench.json", "notebooks/runs/lenet.pt", "Makefile"]
    made = [".venv/bin/python", "build/pip.log", "build/runs/a.pt", "scripts/__pycache__/a.pyc"]
    for name in kept + made:
        (course / name).parent.mkdir(parents=True, exist_ok=True)
        (course / name).touch()
    assert run(course, MAKE, "clean") == (0, "", "")
    assert [name for name in kept + made if (course / name).exists()] == kept


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_jupyterlab_answers_only_here_and_only_with_its_token(tmp_path):
    """`make lab` itself, in this course, with a home folder of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "JUPYTER_PREFER_ENV_PATH": "1"}
    log = tmp_path / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [MAKE, "lab", f"ARGS=--no-browser --port={port}"],
            cwd=ROOT,
            env=os.environ | home,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "?token=" in log.read_text() and answers(port))
        url = re.search(r"http://127\.0\.0\.1:\S+", log.read_text())[0]
        page, token = url.split("?token=")
        assert page == f"http://127.0.0.1:{port}/lab/tree/notebooks/01_network.ipynb"
        assert urllib.request.urlopen(url, timeout=20).status == 200
        api = f"http://127.0.0.1:{port}/api/contents/notebooks"
        assert urllib.request.urlopen(f"{api}?token={token}", timeout=20).status == 200
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(api, timeout=20)
        [(server, address)] = [
            (child, connection.laddr.ip)
            for child in psutil.Process(process.pid).children(recursive=True)
            for connection in child.net_connections()
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        ]
        assert address == "127.0.0.1"
        server.terminate()
        process.wait(timeout=30)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert list(tmp_path.glob("lenet-lab-*")) == []  # its settings are gone


@pytest.mark.parametrize("present", [False, True])
def test_nothing_of_jupyterlabs_security_is_switched_off(tmp_path, present):
    arguments = " ".join(open_lab.lab_arguments("03_training", present, tmp_path))
    assert "--ip=127.0.0.1" in arguments
    assert ("--allow-root" in arguments) == (os.getuid() == 0)
    for word in ("token", "password", "xsrf", "origin", "allow_remote"):
        assert word not in arguments
