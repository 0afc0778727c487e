"""The way from a clone to an environment, and what a user reads where it is blocked.

Most of it happens in a copy of the course in a folder whose name has blanks and Chinese characters.
Small wheels that are made here stand for gigabytes; pip, venv and the package index are real ones.
"""

import contextlib
import fcntl
import functools
import http.server
import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
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
NOWHERE = "http://127.0.0.1:1"  # a port that nobody listens on
MAKE = shutil.which("make")
ONE_LINE = f"    {make_env.GET_UV}\n"

# Root may write anywhere: with these words before a command, it gives up that right first.
AS_A_USER = ["setpriv", "--bounding-set", "-dac_override"] if os.getuid() == 0 else []

# Older Pythons of this machine.
OLD = [
    python
    for minor in range(6, 11)
    if (python := shutil.which(f"python3.{minor}")) and make_env.probe(python)  # not all run
]


@pytest.fixture
def course(tmp_path):
    """A copy of the course without its environment and data, and with a list of one package."""
    folder = tmp_path / "The LeNet course 课程"
    folder.mkdir()
    shutil.copytree(
        ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    write_list(folder, "tiny==1.0")
    return folder


def write_list(course, *packages):
    lines = "".join(f"      - {package}  # stands for gigabytes\n" for package in packages)
    (course / "environment.yml").write_text(f"dependencies:\n  - pip:\n{lines}")


def run(folder, *command, **changes):
    """Run a command as a user in `folder` would; return exit code, what it printed, its errors.

    Errors come without make's own last line ("make: *** [Makefile:1: env] Error 1").
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            ("MAKE", "MFLAGS", "PIP_", "PYTHON", "TORCH")
        )  # `make test` set some
    }
    environment |= {"PIP_CONFIG_FILE": os.devnull, "TORCH": "cuda"} | changes
    done = subprocess.run(
        command, cwd=folder, env=environment, encoding="utf-8", capture_output=True, timeout=300
    )
    assert "Traceback" not in done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines(True) if not line.startswith("make: ***")]
    return done.returncode, done.stdout, "".join(errors)


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def link(path, target):
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)


def pretend(path, version):
    """A stand-in for a Python of another version. It has no more of the system than on Windows."""
    code = (
        "import os, runpy, sys; sys.executable = 'gone'; sys.argv = sys.argv[1:]; "
        "del os.getuid, os.geteuid, os.symlink; sys.modules['fcntl'] = None; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    answer = f"""case "$1 $2" in
        *ensurepip*) echo '[{version}, "{path}", true]';;
        -c*) exit;;
        *) exec '{sys.executable}' -c "{code}" "$@";;
    esac"""
    return script(path, answer)


def wait_for(condition):
    deadline = time.monotonic() + 120  # only so that a failing test ends
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# The list.


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
    python, pip, last = environment["dependencies"]
    minor = int(python.removeprefix("python=3."))
    assert make_env.OLDEST[1] <= minor <= make_env.NEWEST[1]
    assert pip == "pip"
    assert last["pip"] == make_env.packages()
    assert make_env.packages()[-1] == "-e ."
    project = (ROOT / "pyproject.toml").read_text()
    oldest, newest = make_env.OLDEST[1], make_env.NEWEST[1]
    assert f'requires-python = ">=3.{oldest},<3.{newest + 1}"' in project


PINS = dict(line.split("==") for line in make_env.packages() if "==" in line)


@pytest.mark.parametrize("name", PINS)
def test_what_is_installed_is_what_is_pinned(name):
    version, _, _build = importlib.metadata.version(name).partition("+")  # as 2.14.1+cpu
    assert version == PINS[name]


def test_nothing_installed_is_at_odds(course):
    assert run(course, sys.executable, "-m", "pip", "check")[0] == 0


def test_what_is_imported_is_on_the_list():
    """Or is asked for by a package on the list."""
    files = [*ROOT.glob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    files += [
        path
        for name in ("lenet_course", "scripts", "tests")
        for path in (ROOT / name).rglob("*.py")
    ]
    own = {path.stem for path in files} | {path.parent.name for path in files}
    line = re.compile(r'^[ "]*(?:from (\w+)[\w.]* import|import (\w+))\b', re.MULTILINE)
    found = [pair for path in files for pair in line.findall(path.read_text())]
    imported = {a or b for a, b in found} - own - set(sys.stdlib_module_names)
    listed = {normal(name) for name in PINS}
    for name in PINS:
        asked_for = importlib.metadata.requires(name) or []
        listed |= {normal(re.split(r"[^\w.-]", line)[0]) for line in asked_for}
    providers = importlib.metadata.packages_distributions()
    assert {"torch", "PIL", "yaml"} <= imported
    for module in imported:
        assert listed & {normal(name) for name in providers.get(module, [module])}, module


def normal(name):
    return re.sub("[-_.]+", "-", name).lower()


# The Python.


@pytest.mark.parametrize("python", [*OLD, "3.15"])
def test_with_another_python_one_sentence_says_what_to_do(course, tmp_path, python):
    """Also where it is the only one, and has two names."""
    only = tmp_path / "only"
    if python == "3.15":
        version, python = python, pretend(only / "python3", [3, 15])
        link(only / "python", python)
    else:
        version, place, _ = make_env.probe(python)
        version = "{}.{}".format(*version)
        for name in ("python3", "python"):
            link(only / name, place)
    begin = f"set-up: the course needs Python 3.11 to 3.14, and {{}} is Python {version}; "
    sentence = f"{begin.format(python)}let PYTHON name another one, or leave it out\n"
    assert run(course, MAKE, "lab", f"PYTHON={python}") == (2, "", sentence)
    sentence = begin.format("python3") + "this line brings one, without being root; then run "
    sentence += f"the same command again:\n{ONE_LINE}"
    assert run(course, MAKE, "env", PATH=str(only), HOME=str(tmp_path)) == (2, "", sentence)


def test_with_a_python_that_is_not_there(course, tmp_path):
    """Who names one gets no other, also where uv could bring it."""
    script(tmp_path / "uv", "exit 1")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    code, _, sentence = run(course, MAKE, "lab", "PYTHON=/no/such/python", PATH=path)
    assert code == 2
    assert "Python 3.11 to 3.14, and /no/such/python does not run; let PYTHON name" in sentence


def test_without_any_python(course, tmp_path):
    code, _, sentence = run(course, MAKE, "lab", PATH=str(tmp_path), HOME=str(tmp_path))
    assert code == 2
    assert sentence == (
        "set-up: there is no Python here; this line brings one, without being root; then run the "
        f"same command again:\n{ONE_LINE}"
    )


def test_a_python_without_its_venv_module(course, tmp_path):
    """As on Debian without the package python3-venv."""
    answer = """case "$2" in *ensurepip*) echo '[[3, 13], "there", false]';; *) exit 1;; esac"""
    python = script(tmp_path / "python3", answer)
    code, _, sentence = run(course, MAKE, "env", f"PYTHON={python}")
    assert code == 2
    assert (
        f"{python} comes without its venv module (on Debian and Ubuntu: sudo apt install "
        in sentence
    )
    assert "python3.13-venv)" in sentence


@pytest.mark.parametrize("uv", ["bin/uv", ".local/bin/uv"])
def test_uv_brings_a_python(course, tmp_path, wheels, uv):
    """A stand-in for uv; beside it is no Python, or one that is too old (and has no fcntl)."""
    script(
        tmp_path / uv,
        f"""case "$*" in
            "run --no-project --python 3.13 "*) shift 4;;
            "run --no-project --python-preference=only-managed --python=3.13 python "*) shift 5;;
            *) exit 1;;
        esac
        exec '{sys.executable}' "$@" """,
    )
    if uv.startswith("."):
        pretend(tmp_path / "bin/python3", [3, 9])
    environment = wheels | {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    code, printed, sentence = run(course, MAKE, "env", **environment)
    assert (code, sentence) == (0, "")
    assert (f"Making .venv with {tmp_path / uv} ..." in printed) == uv.startswith(".")
    assert run(course, course / ".venv/bin/python", "-c", "import tiny.part0")[0] == 0


# Installing.


def make_wheel(folder, name, version="1.0", files=1):
    """Make a wheel of `files` modules whose METADATA is installed before they are."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    members = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **{f"{name}/part{i}.py": "" for i in range(files)},
    }
    members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*members, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in members.items():
            wheel.writestr(path, text)


@pytest.fixture
def wheels(tmp_path):
    """What tells pip that there is nothing but a folder with small wheels."""
    make_wheel(tmp_path / "wheels", "tiny")
    make_wheel(tmp_path / "wheels", "other")
    return {
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
    }


def test_a_set_up_that_fails_is_finished_by_the_same_command(course, tmp_path, wheels):
    """No network, then a kill -9 in the middle of pip, then it goes through; all in one .venv."""
    env = [MAKE, "env", f"PYTHON={sys.executable}"]
    make_wheel(tmp_path / "wheels", "tiny", files=1500)
    offline = {"PIP_INDEX_URL": NOWHERE, "PIP_RETRIES": "1", "PIP_NO_CACHE_DIR": "1"}

    code, printed, sentence = run(course, *env, **offline)
    assert (code, sentence) == (
        2,
        "set-up: the packages could not be installed: the download broke off or did not begin; "
        "connect to the internet, then run the same command again\n",
    )
    assert "Making .venv" in printed

    dead = {"https_proxy": NOWHERE, "PIP_INDEX_URL": "https://packages.invalid/simple"}
    sentence = run(course, *env, **offline | dead)[2]
    assert "installed: the proxy that is named in https_proxy does not let the download" in sentence

    process = subprocess.Popen(
        env,
        cwd=course,
        env=os.environ | wheels | {"TORCH": "cuda", "PIP_CONFIG_FILE": os.devnull},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    [site] = course.glob(".venv/lib/*/site-packages")
    wait_for((site / "tiny").exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list((site / "tiny").glob("*.py"))) < 1500
    assert (site / "tiny-1.0.dist-info/METADATA").exists()  # so that pip takes it for installed

    code, printed, sentence = run(course, *env, **wheels)
    assert (code, sentence) == (0, "")
    assert "Making .venv" not in printed  # it went on with the first one's
    assert printed.endswith("The environment in .venv is ready.\n")
    assert len(list((site / "tiny").glob("*.py"))) == 1500
    assert not list((course / "build").glob("pip-tmp*"))

    assert run(course, *env, **offline) == (0, "", "")  # nothing is left to do
    course.chmod(0o555)
    assert run(course, *AS_A_USER, *env, **offline) == (0, "", "")  # as on a shared server
    course.chmod(0o755)

    write_list(course, "other==1.0")  # another list is another environment
    code, printed, _ = run(course, *env, **wheels)
    assert code == 0
    assert printed.startswith("Installing what environment.yml lists")  # progress, if it takes long
    assert (site / "other").exists()

    moved = course.rename(tmp_path / "moved")  # where `-e .` leads astray
    assert "Installing" in run(moved, *env, **wheels)[1]

    old = pretend(tmp_path / "python3.9", [3, 9])
    link(moved / ".venv/bin/new", old)
    (moved / ".venv/bin/new").replace(moved / ".venv/bin/python")
    write_list(moved, "tiny==1.0")
    assert "Making .venv" in run(moved, *env, **wheels)[1]


LOCKS = Path("/proc/locks")  # of Linux: who waits for what


def test_two_at_once_wait_for_each_other(course, wheels):
    (course / "build").mkdir()
    command = [sys.executable, "scripts/make_env.py"]
    settings = os.environ | wheels | {"PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull}
    with open(course / "build/env.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pipe = {"stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, cwd=course, env=settings, **pipe)
        line = process.stdout.readline()
        assert line == "Another set-up is at work in this folder: waiting for it.\n"
        waits = re.compile(rf"-> FLOCK .* {process.pid} ")
        wait_for(lambda: not LOCKS.exists() or waits.search(LOCKS.read_text()))
        assert os.listdir(course / "build") == ["env.lock"]
        assert not (course / ".venv").exists()
    assert process.communicate()[0].endswith("The environment in .venv is ready.\n")
    assert process.returncode == 0


def test_what_is_told_while_packages_come(monkeypatch, tmp_path, capsys):
    """What is done, how much of it has come, for how long."""

    class Pip:
        """Writes a line into the log at each look, and then ends."""

        lines = iter(["Collecting torch==2.0\n", "Installing collected packages: tiny, other\n"])

        def poll(self):
            line = next(self.lines, None)
            if line is None:
                return 0
            with open(make_env.LOG, "a") as log:
                log.write(line)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    counts = iter([1, 2])  # one package was there, another has come
    monkeypatch.setattr(make_env, "installed", lambda: [None] * next(counts))
    for folder in ("build", "pip-tmp/in"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pip-tmp/in/torch.whl").write_bytes(bytes(3_000_000))
    Path(make_env.LOG).touch()
    make_env.follow(Pip(), str(tmp_path / "pip-tmp"), expected_mb=9)
    told = [line.strip() for line in capsys.readouterr().out.split("\r")]
    assert "downloading torch: 3 of about 9 MB, 0 min 00 s" in told
    assert any(line.startswith("installing: 1 of 2 packages, 0 min 0") for line in told)


class IndexHandler(http.server.SimpleHTTPRequestHandler):
    def send_head(self):
        self.server.asked.append(self.path)
        return super().send_head()

    def log_message(self, *_):
        """Keep the tests' output quiet."""


@pytest.fixture
def index(tmp_path):
    """Two package indexes, PyTorch's own and the registry; it notes which pages were asked for."""
    for name in ("torch", "torchvision"):
        make_wheel(tmp_path / "index/cpu" / name, name, "2.0+cpu")
        make_wheel(tmp_path / "index/registry" / name, name, "2.0")
        (tmp_path / "index/without" / name).mkdir(parents=True)
        (tmp_path / "index/broken" / name).mkdir(parents=True)
        (tmp_path / "index/broken" / name / f"{name}-2.0+cpu-py3-none-any.whl").write_text("no zip")
    handler = functools.partial(IndexHandler, directory=tmp_path / "index")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked, server.url = [], f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_which_build_of_pytorch_is_taken(course, index):
    """One environment goes through all of it."""
    write_list(course, "torch==2.0", "torchvision==2.0")
    settings = {"PYTHON": sys.executable, "PIP_INDEX_URL": f"{index.url}/registry"}
    settings |= {"PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "1"}
    nvidia = any(map(os.path.exists, make_env.NVIDIA_DRIVER))

    def env(torch_index, build=""):
        """Run the set-up; return what it said, what is there of PyTorch, and who was asked."""
        index.asked.clear()
        choice = {"TORCH_INDEX": torch_index, "TORCH": build}
        _, printed, sentence = run(course, MAKE, "env", **settings, **choice)
        found = course.glob(".venv/lib/*/site-packages/torch*.dist-info")
        asked = {path.split("/")[1] for path in index.asked if "/torch" in path}
        return printed, sentence, {path.name.removesuffix(".dist-info") for path in found}, asked

    cpu, registry = {"torch-2.0+cpu", "torchvision-2.0+cpu"}, {"torch-2.0", "torchvision-2.0"}
    there = f"{index.url}/cpu"
    assert env(there, "cpu" if nvidia else "")[1:] == ("", cpu, {"cpu"})
    assert env(NOWHERE) == ("", "", cpu, set())  # what is there is kept
    assert env(there, "cuda")[1:] == ("", registry, {"registry"})
    assert env(there) == ("", "", registry, set())

    printed, sentence, found, _ = env(NOWHERE, "cpu")
    assert found == set()
    assert "PyTorch's CPU build could not be installed: the download broke off or did" in sentence
    printed, sentence, found, asked = env(NOWHERE)
    assert (sentence, found, asked) == ("", registry, {"registry"})
    assert nvidia or f"{NOWHERE} does not answer: PyTorch comes from the package" in printed

    shutil.rmtree(course / ".venv")
    if not nvidia:
        printed, sentence, found, _ = env(f"{index.url}/broken")
        assert "PyTorch's CPU build could not be installed" in sentence  # 2.5 GB more, unasked: no
        assert found == set()
        printed, sentence, found, _ = env(f"{index.url}/without")
        assert (sentence, found) == ("", registry)
        assert "/without has none for this system: PyTorch comes from the registry." in printed
    assert env(there, "rocm")[1] == (
        "set-up: TORCH is rocm, and can only be cpu or cuda; set it to one\n"
    )


def test_with_a_driver_pytorchs_own_index_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(make_env, "TORCH", None)
    monkeypatch.setattr(make_env, "installed_build", lambda: "")
    monkeypatch.setattr(make_env, "answers", lambda url: True)
    for linux, driver, build in [(1, tmp_path, "cuda"), (1, "/none", "cpu"), (0, "/none", "cuda")]:
        monkeypatch.setattr(make_env, "NVIDIA_DRIVER", [str(driver)])
        monkeypatch.setattr(make_env, "ON_LINUX", linux)
        assert make_env.torch_build() == build


def test_an_index_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(make_env, "ANSWER_SECONDS", 0.3)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), None) as deaf:  # never serves
        assert not make_env.answers(f"http://127.0.0.1:{deaf.server_port}")


# Where it is blocked.


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("was not created because ensurepip is not\navailable.", "package python3-venv"),
        ("OSError: [Errno 28] No space left on\n device", "is full; make room"),
        ("ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED]", "PIP_CERT"),
        ("ERROR: No matching distribution found for torch==2.14.1", "Intel processor"),
        ("HINT: system does not have Windows Long Path support enabled", "shorter one"),
        ("error: error sending request for url", "connect to the internet"),
        ("something that nobody has seen", "build/pip.log has the reason; mend it"),
    ],
)  # fmt: skip
def test_what_a_failed_step_has_left_is_explained(monkeypatch, tmp_path, log, says):
    monkeypatch.chdir(tmp_path)
    code = f"import sys; print({log!r}); sys.exit(1)"
    with pytest.raises(make_env.SetupError) as error:
        make_env.step("it failed", [sys.executable, "-c", code])
    assert says in str(error.value)
    assert str(error.value).endswith(", then run the same command again")


@pytest.mark.parametrize("build", ["cuda", "cpu"])
def test_a_disk_with_too_little_room_is_not_begun_on(monkeypatch, build):
    monkeypatch.setattr(make_env, "find_python", lambda: [sys.executable])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9e9, 8e9, 1e9))
    monkeypatch.setattr(make_env, "ON_LINUX", True)
    with pytest.raises(make_env.SetupError) as error:
        make_env.make_venv(build)
    size, smaller = ("2", "")
    if build == "cuda":
        size, smaller = ("7", " or take PyTorch without CUDA, in 2 GB, by TORCH=cpu")
    assert str(error.value) == (
        f"the environment takes {size} GB, and the disk has 1.0 GB left; make room{smaller}, then "
        "run the same command again"
    )


def test_a_disk_that_fills_up(course, tmp_path):
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
        ": the disk or your share of it is full; make room, then run the same command again\n"
    )
    assert sentence.count("\n") == 1


def test_in_a_folder_that_cannot_be_written(course):
    course.chmod(0o555)
    code, printed, sentence = run(course, *AS_A_USER, sys.executable, "scripts/make_env.py")
    course.chmod(0o755)
    assert (code, printed) == (1, "")
    assert sentence == (
        "set-up: cannot write build (Permission denied); make room or copy the course to a folder "
        "of your own, then run the same command again\n"
    )


@pytest.mark.parametrize("python", [sys.executable, *OLD])
def test_in_a_locale_that_knows_no_chinese(course, python):
    """The path has Chinese characters in it, and so has what is said of it."""
    settings = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    code, _, sentence = run(course, python, "scripts/make_env.py", **settings, PYTHON="/不在")
    assert code == 1
    assert "does not run" in sentence


def test_help_installs_nothing(course):
    code, printed, sentence = run(course, sys.executable, "scripts/make_env.py", "--help")
    assert (code, sentence) == (0, "")
    assert "TORCH_INDEX" in printed
    assert not (course / "build").exists()


def test_clean_keeps_data_results_and_all_that_is_your_own(course):
    kept = ["data/MNIST/raw/images", "results/bench.json", "notebooks/runs/lenet.pt", "Makefile"]
    kept += ["my-notebooks/03_training.ipynb"]
    made = [".venv/bin/python", "build/pip.log", "build/runs/a.pt", "scripts/__pycache__/a.pyc"]
    for name in kept + made:
        (course / name).parent.mkdir(parents=True, exist_ok=True)
        (course / name).touch()
    assert run(course, MAKE, "clean") == (0, "", "")
    assert [name for name in kept + made if (course / name).exists()] == kept


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
    script(tmp_path / "make", f'echo "make $1"\ntest "$1" != {failing}')
    for name in ("npm", "chromium", "python3"):
        script(tmp_path / name, "")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    code, printed, _ = run("/", "bash", str(ROOT / ".ci/run"), PATH=path)
    checks = re.findall("^make (.+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert {"lint", "test", "test-browser"} <= set(checks)
    if failing in checks:
        checks = checks[: checks.index(failing) + 1]
    assert (code == 0) == (failing == "nothing")
    assert printed == "".join(f"make {check}\n" for check in checks)


# JupyterLab.


@contextlib.contextmanager
def make_lab(log, **settings):
    """`make lab` itself, in this course; what it prints goes to `log`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "scripts/open_lab.py", "--no-browser", f"--port={port}"],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "?token=" in log.read_text() or process.poll() is not None)
        yield process, port
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_jupyterlab_says_where_it_is_and_how_to_end_it(tmp_path):
    """It answers only here and only with its token; one line is all that it says."""
    log = tmp_path / "log.txt"
    settings = dict.fromkeys(("HOME", "TMPDIR", "JUPYTER_PATH"), str(tmp_path))
    (tmp_path / "kernels/python3").mkdir(parents=True)  # another kernel of that name
    other = {"argv": ["false"], "display_name": "other", "language": "python"}
    (tmp_path / "kernels/python3/kernel.json").write_text(json.dumps(other))
    with make_lab(log, **settings) as (process, port):
        said = log.read_text()
        page = f"http://127.0.0.1:{port}/lab/tree/my-notebooks/01_network.ipynb"
        line = rf"The course is open at {page}\?token=(\w+) \(Ctrl-C here ends it\)\n"
        token = re.fullmatch(line, said)[1]
        assert urllib.request.urlopen(f"{page}?token={token}").status == 200
        api = f"http://127.0.0.1:{port}/api"
        assert urllib.request.urlopen(f"{api}/contents/my-notebooks?token={token}").status == 200
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(f"{api}/contents/my-notebooks")
        refused.value.close()
        addresses = {
            connection.laddr.ip
            for connection in psutil.Process(process.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        }
        assert addresses == {"127.0.0.1"}

        def sessions():
            return json.load(urllib.request.urlopen(f"{api}/sessions?token={token}"))

        specs = json.load(urllib.request.urlopen(f"{api}/kernelspecs?token={token}"))
        assert specs["kernelspecs"]["python3"]["spec"]["display_name"] != "other"
        wait_for(sessions)  # the chapter's kernel starts before a browser asks for it
        [session] = sessions()
        assert session["path"] == "my-notebooks/01_network.ipynb"
        process.send_signal(signal.SIGINT)
        process.wait()
    assert log.read_text() == said
    assert list(tmp_path.glob("lenet-lab-*")) == []  # its settings are gone


def test_a_home_folder_that_is_not_there(tmp_path):
    (tmp_path / "file").write_text("in which not even root can make a folder")
    log, home = tmp_path / "log.txt", tmp_path / "file" / "home"
    with make_lab(log, HOME=str(home), TMPDIR=str(tmp_path)) as (process, _):
        first, second = log.read_text().splitlines()
        assert process.poll() is None
    assert first == f"The home folder {home} cannot be written: settings are kept until you leave."
    assert second.startswith("The course is open at http://127.0.0.1:")


def test_a_course_that_cannot_be_written_is_read_at_home(monkeypatch, tmp_path, capsys):
    def copy_chapters(folder):
        if folder == open_lab.ROOT:
            raise PermissionError(13, "Permission denied")
        return ["news"]

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(open_lab.my_notebooks, "copy_chapters", copy_chapters)
    assert open_lab.readers_folder() == tmp_path / "lenet"
    assert capsys.readouterr().out == "news\n"
    monkeypatch.setattr(open_lab, "ROOT", tmp_path / "lenet")
    with pytest.raises(SystemExit, match=r"written neither to .* nor to .* \(Permission denied\)"):
        open_lab.readers_folder()


@pytest.mark.parametrize("present", [False, True])
def test_nothing_of_jupyterlabs_security_is_switched_off(tmp_path, present, monkeypatch):
    arguments = " ".join(open_lab.lab_arguments("03_training", present, tmp_path))
    assert "--ip=127.0.0.1" in arguments
    assert ("--allow-root" in arguments) == (os.getuid() == 0)
    for word in ("token", "password", "xsrf", "origin", "allow_remote"):
        assert word not in arguments
    monkeypatch.delattr(os, "getuid")  # as on Windows
    arguments = " ".join(open_lab.lab_arguments("03_training", present, tmp_path))
    assert "--allow-root" not in arguments
