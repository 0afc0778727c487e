"""The way from a clone to an environment, and what a user reads where it is blocked.

Most of it happens in a copy of the course in a folder whose name has blanks and Chinese characters.
Small wheels that are made here stand for gigabytes; pip, venv and the package index are real ones.
"""

import ast
import contextlib
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
        *ensurepip*) echo {version}; echo {path};;
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
    files = [*ROOT.glob("*.py"), *(ROOT / "lenet_course").rglob("*.py")]
    files += [path for folder in ("scripts", "tests") for path in (ROOT / folder).rglob("*.py")]
    sources = {path: path.read_text() for path in files}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        sources |= {f"{path}, cell {number}": text for number, text in enumerate(code)}
    imported = {}
    for path, text in sources.items():
        try:
            nodes = list(ast.walk(ast.parse(text)))
        except SyntaxError:  # a cell with IPython's own commands
            continue
        for node in nodes:
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0]: path for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported[node.module.split(".")[0]] = path
    own = {path.stem for path in files} | {path.parent.name for path in files}
    listed = {normal(name) for name in PINS}
    for name in PINS:
        asked_for = importlib.metadata.requires(name) or []
        listed |= {normal(re.split(r"[^\w.-]", line)[0]) for line in asked_for}
    providers = importlib.metadata.packages_distributions()
    missing = {
        (module, str(path))
        for module, path in imported.items()
        if module not in own | set(sys.stdlib_module_names)
        and not listed & {normal(name) for name in providers.get(module, [module])}
    }
    assert missing == set()


def normal(name):
    return re.sub("[-_.]+", "-", name).lower()


# The Python.


@pytest.mark.parametrize("python", [*OLD, "3.15"])
def test_with_another_python_one_sentence_says_what_to_do(course, tmp_path, python):
    if python == "3.15":
        version, python = python, pretend(tmp_path / "bin/python", "3 15")
    else:
        version = "{}.{}".format(*make_env.probe(python)[0])
    begin = f"set-up: the course needs Python 3.11 to 3.14, and {{}} is Python {version}; "
    sentence = f"{begin.format(python)}let PYTHON name another one, or leave it out\n"
    assert run(course, MAKE, "lab", f"PYTHON={python}") == (2, "", sentence)
    if python in OLD:  # it can run the script itself; as the only one, under two names
        for name in ("python3", "python"):
            link(tmp_path / "only" / name, ast.literal_eval(make_env.probe(python)[1]))
        path = {"PATH": str(tmp_path / "only"), "HOME": str(tmp_path)}
        sentence = begin.format("python3") + "this line brings one, without being root; then run "
        sentence += f"the same command again:\n{ONE_LINE}"
        assert run(course, MAKE, "env", **path) == (2, "", sentence)


def test_with_a_python_that_is_not_there(course):
    code, _, sentence = run(course, MAKE, "lab", "PYTHON=/no/such/python")
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
    python = script(tmp_path / "python3", 'echo "3 13"; echo there; exit 1')
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
        f"""case "$1 $2" in
            "run --no-project") shift 4; exec '{sys.executable}' "$@";;
            "python install") echo "$3" > '{tmp_path}/installed';;
            "python find") [ -e '{tmp_path}/installed' ] && echo '{sys.executable}';;
        esac""",
    )
    if uv.startswith("."):
        pretend(tmp_path / "bin/python3", "3 9")
    environment = wheels | {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    code, printed, sentence = run(course, MAKE, "env", **environment)
    assert (code, sentence) == (0, "")
    assert ("Getting Python 3.13 with uv" in printed) == (tmp_path / "installed").exists()
    assert (tmp_path / "installed").exists() == uv.startswith(".")
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
    assert env(there, "rocm")[1] == (
        "set-up: TORCH is rocm, and can only be cpu or cuda; set it to one\n"
    )


def test_with_a_driver_pytorchs_own_index_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.delenv("TORCH", raising=False)
    monkeypatch.setattr(make_env, "answers", lambda url: True)
    monkeypatch.setattr(make_env, "NVIDIA_DRIVER", [str(tmp_path)])
    assert make_env.torch_build() == "cuda"
    monkeypatch.setattr(make_env, "NVIDIA_DRIVER", [str(tmp_path / "nothing")])
    monkeypatch.setattr(sys, "platform", "linux")
    assert make_env.torch_build() == "cpu"
    monkeypatch.setattr(sys, "platform", "win32")
    assert make_env.torch_build() == "cuda"


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


def test_a_disk_with_too_little_room_is_not_begun_on(course, monkeypatch):
    monkeypatch.setattr(make_env, "find_python", lambda: sys.executable)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9e9, 8e9, 1e9))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(make_env.SetupError) as error:
        make_env.make_venv("cuda")
    assert str(error.value) == (
        "the environment takes 7 GB, and the disk has 1.0 GB left; make room or take PyTorch "
        "without CUDA, in 2 GB, by TORCH=cpu, then run the same command again"
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
    with make_lab(log, HOME=str(tmp_path), TMPDIR=str(tmp_path)) as (process, port):
        said = log.read_text()
        page = f"http://127.0.0.1:{port}/lab/tree/my-notebooks/01_network.ipynb"
        line = rf"The course is open at {page}\?token=(\w+) \(Ctrl-C here ends it\)\n"
        token = re.fullmatch(line, said)[1]
        assert urllib.request.urlopen(f"{page}?token={token}").status == 200
        api = f"http://127.0.0.1:{port}/api"
        assert urllib.request.urlopen(f"{api}/contents/my-notebooks?token={token}").status == 200
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{api}/contents/my-notebooks")
        addresses = {
            connection.laddr.ip
            for connection in psutil.Process(process.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        }
        assert addresses == {"127.0.0.1"}

        def sessions():
            return json.load(urllib.request.urlopen(f"{api}/sessions?token={token}"))

        wait_for(sessions)  # the chapter's kernel starts before a browser asks for it
        [session] = sessions()
        assert session["path"] == "my-notebooks/01_network.ipynb"
        process.send_signal(signal.SIGINT)
        process.wait()
    assert log.read_text() == said
    assert list(tmp_path.glob("lenet-lab-*")) == []  # its settings are gone


def test_a_home_folder_that_is_not_there(tmp_path):
    log = tmp_path / "log.txt"
    with make_lab(log, HOME="/none", TMPDIR=str(tmp_path)) as (process, _):
        first, second = log.read_text().splitlines()
        assert process.poll() is None
    assert first == "The home folder /none cannot be written: settings are kept until you leave."
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
