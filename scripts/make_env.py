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
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

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
# Elsewhere than on Linux, PyTorch has one build, and the registry has it.
ON_LINUX = sys.platform.startswith("linux")
TORCH = os.environ.get("TORCH") if ON_LINUX else None
TORCH_INDEX = os.environ.get("TORCH_INDEX") or "https://download.pytorch.org/whl/cpu"
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


def installed() -> list:
    """The packages in .venv: their .dist-info folders."""
    places = ("lib/*/site-packages", "Lib/site-packages")
    venv = glob.escape(VENV)
    return [info for place in places for info in glob.glob(f"{venv}/{place}/*.dist-info")]


def installed_build() -> str:
    """ "cpu" or "cuda", as PyTorch in .venv is; "" if there is none."""
    torch = [info for info in installed() if os.path.basename(info).startswith("torch-")]
    return "" if not torch else "cpu" if "+cpu" in os.path.basename(torch[0]) else "cuda"


def is_finished() -> bool:
    """True if .venv holds just what is asked for."""
    if not os.path.exists(STAMP) or not os.access(PYTHON, os.X_OK):
        return False
    with open(STAMP) as file:
        as_listed = file.read() == fingerprint()
    return as_listed and (not TORCH or installed_build() in ("", TORCH))


# Which Python, and which build of PyTorch.

PROBE = """
import json, os, sys
try:
    import ensurepip, venv
except ImportError:
    venv = None
print(json.dumps([sys.version_info[:2], os.path.realpath(sys.executable), bool(venv)]))
"""


def probe(python: str) -> "tuple | None":
    """(version, where it is, whether it can make a venv) of a Python; None if it does not run."""
    try:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        done = subprocess.run([python, "-c", PROBE], **pipes)
        version, path, has_venv = json.loads(done.stdout.decode())
    except (OSError, ValueError):
        return None
    return tuple(version), path, has_venv


def find_python() -> list:
    """The command of a Python that can make the environment."""
    chosen = os.environ.get("PYTHON")
    minors = range(NEWEST[1], OLDEST[1] - 1, -1)
    names = ["python3", *(f"python3.{minor}" for minor in minors), "python", sys.executable]
    unfit = {}  # by path: no Python is named twice
    for name in [chosen] if chosen else names:
        version, path, has_venv = probe(name) or (None, name, False)
        if version and OLDEST <= version <= NEWEST:
            if has_venv:
                return [name]
            what = "comes without its venv module (on Debian and Ubuntu: sudo apt install "
            unfit.setdefault(path, f"{name} {what}python3.{version[1]}-venv)")
        elif version or chosen:
            what = "is Python {}.{}".format(*version) if version else "does not run"
            unfit.setdefault(path, f"{name} {what}")
    uv = shutil.which("uv") or shutil.which(os.path.expanduser("~/.local/bin/uv"))
    if uv and not chosen:  # it brings one of its own
        own = ["--no-project", "--python-preference=only-managed", "--python=3.13"]
        return [uv, "run", *own, "python"]
    advice = f"this line brings one, without being root; {AGAIN}:\n    {GET_UV}"
    if chosen:
        advice = "let PYTHON name another one, or leave it out"
    raise SetupError(
        f"the course needs Python 3.{OLDEST[1]} to 3.{NEWEST[1]}, and "
        f"{' and '.join(unfit.values()) or 'there is none here'}; {advice}"
    )


def torch_build() -> str:
    """ "cpu" for PyTorch's own index, "cuda" for what the package registry has."""
    if TORCH and TORCH not in DISK_GB:
        raise SetupError(f"TORCH is {TORCH}, and can only be cpu or cuda; set it to one")
    known = TORCH or installed_build()
    if known:
        return known
    if not ON_LINUX or any(map(os.path.exists, NVIDIA_DRIVER)):
        return "cuda"
    if answers(TORCH_INDEX):
        return "cpu"
    print(f"{TORCH_INDEX} does not answer: PyTorch comes from the package registry, with CUDA.")
    return "cuda"


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
    """Run a command, its output in LOG; the user gets progress, or a sentence."""
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
    if process.returncode:
        raise SetupError(f"{what}: {reason()}, {AGAIN}")


def reason() -> str:
    """Why the last step failed and what to do, from what it left in LOG."""
    with open(LOG, encoding="utf-8", errors="replace") as file:
        text = " ".join(file.read().split())  # without the line breaks in pip's sentences
    if shutil.disk_usage(ROOT).free < 1e6:  # too little to have written the reason down
        text = "No space left on device"
    proxies = {n: at for n, at in os.environ.items() if n.lower() in ("http_proxy", "https_proxy")}
    for host in re.findall("host='([^']+)'", text):  # pip 26.2 names no more than the proxy's host
        text += " ProxyError" * any(host in address for address in proxies.values())
    why = next(why for words, why in REASONS.items() if re.search(words, text))
    return why.format(log=LOG, proxies=" or ".join(proxies) or "pip's settings")


def follow(process: subprocess.Popen, folder: str, expected_mb: int) -> None:
    """Until `process` ends: what it does, how much has come, how long it has taken."""
    begun, had, terminal = time.time(), len(installed()), sys.stdout.isatty()
    said, doing, count = begun, "", 0
    with open(LOG, encoding="utf-8", errors="replace") as log:
        while process.poll() is None:
            time.sleep(0.2)
            for line in log:
                words = line.split()
                if words[:1] in (["Collecting"], ["Downloading"], ["Processing"]):
                    doing = "downloading " + re.split("[-=<>! ]", os.path.basename(words[1]))[0]
                elif words[:2] == ["Installing", "collected"]:
                    doing, count = "installing", line.count(",") + 1
            amount = f"{folder_mb(folder)} of about {expected_mb} MB"
            if count:
                amount = f"{min(len(installed()) - had, count)} of {count} packages"
            now = time.time()
            line = "  {}: {}, {} min {:02} s".format(doing, amount, *divmod(int(now - begun), 60))
            if doing and terminal:
                print(f"\r{line[:78]:<78}", end="", flush=True)
            elif doing and now > said + 20:
                said = now
                print(line, flush=True)
    if doing and terminal:
        print("\r" + " " * 78, end="\r")


def folder_mb(folder: str) -> int:
    """Megabytes of the files in `folder`, in which another program is at work."""
    size = 0
    for path in glob.iglob(f"{glob.escape(folder)}/**", recursive=True):
        with contextlib.suppress(OSError):
            size += os.lstat(path).st_size
    return size // 1000000


@contextlib.contextmanager
def alone() -> "Iterator[None]":
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
                print("Another set-up is at work in this folder: waiting for it.", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_venv(build: str) -> None:
    """Make .venv anew, with a look at the disk before."""
    python, free = find_python(), shutil.disk_usage(ROOT).free / 1e9
    size = DISK_GB[build if ON_LINUX else "cpu"]
    if free < size and any(name.startswith("torch==") for name in packages()):
        smaller = f" or take PyTorch without CUDA, in {DISK_GB['cpu']} GB, by TORCH=cpu"
        raise SetupError(
            f"the environment takes {size} GB, and the disk has {free:.1f} GB left; make room"
            f"{smaller if size > DISK_GB['cpu'] else ''}, {AGAIN}"
        )
    print(f"Making .venv with {python[0]} ...", flush=True)
    step(f"{python[0]} could not make .venv", [*python, "-m", "venv", "--clear", VENV])


def make_env() -> None:
    """Make .venv and install the list, going on where the last run stopped."""
    for info in installed():  # pip was killed in the middle of it: it writes RECORD last
        if not os.path.exists(os.path.join(info, "RECORD")):
            shutil.rmtree(info)
    build, there = torch_build(), probe(PYTHON)
    fits = there and OLDEST <= there[0] <= NEWEST and glob.glob(f"{glob.escape(VENV)}/*/pip*")
    if not fits or installed_build() not in ("", build):
        make_venv(build)
    elif os.path.exists(STAMP):
        os.remove(STAMP)
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    size = DOWNLOAD_MB[build if ON_LINUX else "cpu"]
    print(f"Installing what environment.yml lists: about {size} MB, mostly PyTorch ...", flush=True)
    if build == "cpu":
        torch = [name for name in packages() if name.startswith("torch")]
        index = ["--no-deps", "--index-url", TORCH_INDEX]
        try:
            step("PyTorch's CPU build could not be installed", [*pip, *index, *torch], size)
        except SetupError as error:
            if TORCH or "no build" not in str(error):
                raise
            print(f"{TORCH_INDEX} has none for this system: PyTorch comes from the registry.")
    everything = [word for package in packages() for word in package.split()]
    step("the packages could not be installed", pip + everything, size)
    with open(STAMP, "w") as file:
        file.write(fingerprint())


def main() -> int:
    raw = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=raw).parse_args()
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
        print("The environment in .venv is ready.")
        return 0
    print(f"set-up: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):  # not in Python 3.6
            output.reconfigure(errors="backslashreplace")  # whatever a path has in it
    sys.exit(main())
