"""Make the course's environment in .venv: `make env`, which every other command needs first.

    python scripts/make_env.py

It installs the `pip:` list of environment.yml. Killed or stopped, it is finished by the next run;
finished, it has nothing to do. These variables decide what it would otherwise find out:

    PYTHON       the Python to make .venv with
    TORCH        cpu or cuda: which build of PyTorch Linux gets
    TORCH_INDEX  where the CPU build comes from, if not from PyTorch's own index

The file runs in any Python from 3.6 on, without packages, so that whoever has another one than the
course needs reads a sentence.
"""

import argparse
import contextlib
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

try:
    import fcntl
except ImportError:  # on Windows, where two set-ups at once are not kept apart
    fcntl = None

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIST = os.path.join(ROOT, "environment.yml")
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
STAMP = os.path.join(VENV, "lenet-installed")
LOG = os.path.join("build", "pip.log")

OLDEST, NEWEST = (3, 11), (3, 14)
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
ANSWER_SECONDS = 5  # in which PyTorch's index has to answer: offline, nobody should wait
NVIDIA_DRIVER = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1")
DOWNLOAD_MB = {"cpu": 450, "cuda": 3300}
DISK_GB = {"cpu": 2, "cuda": 7}

GET_UV = "curl -LsSf https://astral.sh/uv/install.sh | sh"
if os.name == "nt":
    GET_UV = 'powershell -ExecutionPolicy ByPass -c "irm https://astral.sh/uv/install.ps1 | iex"'
AGAIN = "then run the same command again"

# What a failed step leaves in LOG, and what it means. The first that fits is told.
REASONS = {
    "No space left on device|Disk quota exceeded": "the disk or your share of it is full; make "
    "room",
    "ensurepip is not available": "this Python comes without its venv module; on Debian and "
    "Ubuntu, install the package python3-venv",
    "ProxyError|Tunnel connection failed": "the proxy that is named in {proxies} does not let the "
    "download through; mend or unset it",
    "CERTIFICATE_VERIFY_FAILED": "the network puts a certificate of its own in between; let "
    "PIP_CERT name its file",
    "Long Path": "the path of this folder is too long for Windows; move the course to a shorter "
    "one, such as C:\\lenet",
    "Permission denied|Access is denied": "this folder may not be written to; copy the course to "
    "one of your own",
    r"Retrying \(|Connection|timed out|error sending request": "the download broke off or did not "
    "begin; connect to the internet",
    "No matching distribution|ResolutionImpossible": "a package has no build for this system "
    "(PyTorch has none for Macs with an Intel processor, macOS before 14 and Linux before glibc "
    "2.28); take another machine, or read {log}",
    "": "{log} has the reason; mend it",
}


class SetupError(Exception):
    """What went wrong and what to do, for the user."""


def say(line: str, file=None, end: str = "\n") -> None:
    """Print, whatever a path has in it and however little the terminal can show."""
    file = file or sys.stdout
    encoding = file.encoding or "ascii"
    file.write(line.encode(encoding, "backslashreplace").decode(encoding) + end)
    file.flush()


# What is asked for, and what is there.


def packages() -> list:
    """The `pip:` list of environment.yml: ["torch==2.14.1", ..., "-e ."]."""
    with open(LIST, encoding="utf-8") as file:
        lines = file.read().partition("- pip:")[2].splitlines()
    items = [line.partition(" #")[0].strip() for line in lines]
    return [item[2:] for item in items if item.startswith("- ")]


def fingerprint() -> str:
    """What changes with environment.yml, and when the folder is moved."""
    with open(LIST, "rb") as file:
        return hashlib.sha256(file.read() + os.fsencode(ROOT)).hexdigest()


def finished_build():
    """ "cpu" or "cuda" if .venv holds just what is asked for; None if not."""
    with contextlib.suppress(OSError, ValueError):
        with open(STAMP) as file:
            done, build = file.read().split()
        if done == fingerprint() and os.access(PYTHON, os.X_OK):
            return build
    return None


def is_finished() -> bool:
    return finished_build() in ([os.environ["TORCH"]] if os.environ.get("TORCH") else DISK_GB)


# Finding a Python.


def probe(python: str):
    """(version, where it is, whether it can make a venv) of a Python; None if it does not run."""
    code = (
        "import os, sys; print('%d %d' % sys.version_info[:2]); "
        "print(ascii(os.path.realpath(sys.executable))); sys.stdout.flush(); import ensurepip, venv"
    )
    try:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        done = subprocess.run([python, "-c", code], **pipes)
        version, path = done.stdout.decode().splitlines()
        major, minor = version.split()
    except (OSError, ValueError):
        return None
    return (int(major), int(minor)), path, done.returncode == 0


def find_python() -> str:
    """The command of a Python that can make the environment."""
    chosen = os.environ.get("PYTHON")
    minors = range(NEWEST[1], OLDEST[1] - 1, -1)
    names = ["python3", *(f"python3.{minor}" for minor in minors), "python", sys.executable]
    found = {}  # by path: no Python is named twice
    for name in [chosen] if chosen else names:
        version, path, has_venv = probe(name) or (None, name, False)
        if version and OLDEST <= version <= NEWEST:
            if has_venv:
                return name
            package = f"python3.{version[1]}-venv"
            what = (
                f"comes without its venv module (on Debian and Ubuntu: sudo apt install {package})"
            )
            found.setdefault(path, f"{name} {what}")
        elif version or chosen:
            what = "is Python {}.{}".format(*version) if version else "does not run"
            found.setdefault(path, f"{name} {what}")
    uv = shutil.which("uv") or shutil.which(os.path.expanduser("~/.local/bin/uv"))
    if uv and not chosen:
        return python_from_uv(uv)
    advice = f"this line brings one, without being root; {AGAIN}:\n    {GET_UV}"
    if chosen:
        advice = "let PYTHON name another one, or leave it out"
    raise SetupError(
        f"the course needs Python 3.{OLDEST[1]} to 3.{NEWEST[1]}, and "
        f"{' and '.join(found.values()) or 'there is none here'}; {advice}"
    )


def python_from_uv(uv: str) -> str:
    """A Python that uv has brought, or brings now."""
    environment = dict(os.environ, UV_PYTHON_PREFERENCE="only-managed")
    find = [uv, "python", "find", "--no-project", f">=3.{OLDEST[1]},<3.{NEWEST[1] + 1}"]
    for first in (True, False):
        with contextlib.suppress(subprocess.CalledProcessError):
            found = subprocess.check_output(find, env=environment, stderr=subprocess.DEVNULL)
            return os.fsdecode(found).strip()
        if first:
            say("Getting Python 3.13 with uv ...")
            step("uv could not get a Python", [uv, "python", "install", "3.13"])
    raise SetupError(f"{uv} has brought a Python and does not find it; install one by hand")


# Which build of PyTorch.


def torch_build() -> str:
    """ "cpu" for PyTorch's own index, "cuda" for what the package registry has."""
    chosen = os.environ.get("TORCH")
    if chosen:
        if chosen not in DISK_GB:
            raise SetupError(f"TORCH is {chosen}, and can only be cpu or cuda; set it to one")
        return chosen
    if not sys.platform.startswith("linux") or any(map(os.path.exists, NVIDIA_DRIVER)):
        return "cuda"
    if answers(torch_index()):
        return "cpu"
    say(f"{torch_index()} does not answer: PyTorch comes from the package registry, with CUDA.")
    return "cuda"


def torch_index() -> str:
    return os.environ.get("TORCH_INDEX") or TORCH_INDEX


def answers(url: str) -> bool:
    """True if `url` answers in time. A thread asks: looking up a name knows no time limit."""
    answered = []

    def ask():
        with contextlib.suppress(Exception):
            urllib.request.urlopen(url.rstrip("/") + "/torch/", timeout=ANSWER_SECONDS).close()
            answered.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    return bool(answered)


# Doing it.


def step(what: str, command: list, expected_mb: int = 0) -> None:
    """Run a command in ROOT, its output in LOG; the user gets progress, or a sentence."""
    temporary = os.path.abspath(os.path.join("build", "pip-tmp"))  # the system's may be too small
    shutil.rmtree(temporary, ignore_errors=True)
    os.makedirs(temporary)
    environment = dict(os.environ, TMPDIR=temporary, TEMP=temporary, TMP=temporary)
    with open(LOG, "wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, close_fds=False
        )
    try:
        follow(process, temporary, expected_mb)
    finally:
        process.wait()
        shutil.rmtree(temporary, ignore_errors=True)
    if process.returncode == 0:
        return
    with open(LOG, encoding="utf-8", errors="replace") as file:
        text = " ".join(file.read().split())  # without the line breaks in pip's sentences
    why = next(why for words, why in REASONS.items() if re.search(words, text))
    if shutil.disk_usage(ROOT).free < 1e6:  # too little to have written the reason down
        why = next(iter(REASONS.values()))
    names = [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy")]
    why = why.format(log=LOG, proxies=" or ".join(names) or "pip's settings")
    raise SetupError(f"{what}: {why}, {AGAIN}")


def follow(process, folder: str, expected_mb: int) -> None:
    """Until `process` ends: what it does, how much has come, how long it has taken."""
    begun, said, doing, count = time.time(), 0, "", 0
    terminal = sys.stdout.isatty()
    with open(LOG, encoding="utf-8", errors="replace") as log:
        while process.poll() is None:
            time.sleep(0.2)
            for line in log:
                words = line.split()
                if words[:1] in (["Collecting"], ["Downloading"], ["Processing"]):
                    doing = "downloading " + re.split("[-=<>! ]", os.path.basename(words[1]))[0]
                elif words[:2] == ["Installing", "collected"]:
                    doing, count = "installing", line.count(",") + 1
            minutes, seconds = divmod(int(time.time() - begun), 60)
            if count:
                amount = f"{min(len(installed()), count)} of {count} packages"
            else:
                amount = f"{folder_mb(folder)} of about {expected_mb} MB"
            if doing and (terminal or time.time() > said + 20):
                said = time.time()
                line = f"  {doing[:40]}: {amount}, {minutes} min {seconds:02} s"
                say(f"\r{line:<78}" if terminal else line, end="" if terminal else "\n")
    if terminal and doing:
        say("\r" + " " * 78, end="\r")


def folder_mb(folder: str) -> int:
    """Megabytes of the files in `folder`, in which another program is at work."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(parent, name)).st_size
    return size // 1000000


def installed() -> list:
    """The packages in .venv: their .dist-info folders."""
    places = ("lib/*/site-packages", "Lib/site-packages")
    venv = glob.escape(VENV)
    return [info for place in places for info in glob.glob(f"{venv}/{place}/*.dist-info")]


@contextlib.contextmanager
def alone():
    """Keep other set-ups in this folder waiting; wait for one that is at work already.

    pip holds the lock too: it goes on for a while when this script is killed.
    """
    os.makedirs("build", exist_ok=True)
    with open(os.path.join("build", "env.lock"), "w") as file:
        if fcntl:
            os.set_inheritable(file.fileno(), True)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("Another set-up is at work in this folder: waiting for it.")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_venv(build: str) -> None:
    """Make .venv anew, with a look at the disk before."""
    python, free = find_python(), shutil.disk_usage(ROOT).free / 1e9
    size = DISK_GB[build if sys.platform.startswith("linux") else "cpu"]
    if free < size and any(name.startswith("torch==") for name in packages()):
        raise SetupError(
            f"the environment takes {size} GB, and the disk has {free:.1f} GB left; make room"
            + (f" or take PyTorch without CUDA, in {DISK_GB['cpu']} GB, by TORCH=cpu" if size > 2
               else "") + f", {AGAIN}"
        )  # fmt: skip
    say(f"Making .venv with {python} ...")
    step(f"{python} could not make .venv", [python, "-m", "venv", "--clear", VENV])


def make_env() -> None:
    """Make .venv and install the list, going on where the last run stopped."""
    build, last = torch_build(), finished_build()
    there = probe(PYTHON)
    fits = there and OLDEST <= there[0] <= NEWEST
    if not fits or not glob.glob(f"{glob.escape(VENV)}/*/pip*") or (last and last != build):
        make_venv(build)
    elif os.path.exists(STAMP):
        os.remove(STAMP)
    for info in installed():  # pip was killed in the middle of it: it writes RECORD last
        if not os.path.exists(os.path.join(info, "RECORD")):
            shutil.rmtree(info)
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    size = DOWNLOAD_MB[build if sys.platform.startswith("linux") else "cpu"]
    say(f"Installing what environment.yml lists: about {size} MB, mostly PyTorch ...")
    if build == "cpu":
        torch = [name for name in packages() if name.startswith("torch")]
        index = ["--no-deps", "--index-url", torch_index()]
        try:
            step("PyTorch's CPU build could not be installed", [*pip, *index, *torch], size)
        except SetupError:
            if os.environ.get("TORCH"):
                raise
            build = "cuda"
            say(f"{torch_index()} has no build for this system: PyTorch comes from the registry.")
    everything = [word for package in packages() for word in package.split()]
    step("the packages could not be installed", pip + everything, size)
    with open(STAMP, "w") as file:
        file.write(f"{fingerprint()} {build}")


def main() -> int:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    if is_finished():
        return 0
    try:
        os.chdir(ROOT)
        with alone():
            if not is_finished():
                make_env()
    except SetupError as error:
        sentence = str(error)
    except OSError as error:
        sentence = f"cannot write {error.filename or ROOT} ({error.strerror}); "
        sentence += f"make room or copy the course to a folder of your own, {AGAIN}"
    except KeyboardInterrupt:
        sentence = "the set-up was stopped; the same command goes on with it"
    else:
        say("The environment in .venv is ready.")
        return 0
    say(f"set-up: {sentence}", sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
