"""Make the course's environment in .venv: what every target of the Makefile needs first.

Installs the `pip:` list of environment.yml with a Python 3.11 (the PATH's, or the one that the
variable PYTHON names). A stamp is written at the very end: an interrupted set-up is finished by
the next run, and after a finished one there is nothing to do. This file itself runs in any Python
from 3.6 on, without packages, so that whoever has another Python reads a sentence.
"""

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIST = os.path.join(ROOT, "environment.yml")
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "lenet-installed")
LOG = os.path.join("build", "pip.log")

DISK_FULL = "the disk is full; make room (6 GB on Linux)"

# What a failed step leaves in LOG, and what it means. The first that fits is told.
REASONS = {
    "No space left on device": DISK_FULL,
    "Disk quota exceeded": "your disk quota is used up; make room (6 GB on Linux)",
    "ensurepip is not available": "this Python comes without its venv module; "
    "on Debian and Ubuntu, install the package python3.11-venv",
    "Permission denied": "this folder may not be written to; copy the course to one of your own",
    "Retrying (": "the packages cannot be downloaded; connect to the internet",
    "Connection": "the download broke off; look at the internet connection",
    "timed out": "the download broke off; look at the internet connection",
    "No matching distribution": "a package has no build for this system; read build/pip.log",
}


class SetupError(Exception):
    """What went wrong and what to do, for the user."""


def packages():
    """The `pip:` list of environment.yml: ["torch==2.14.1", ..., "-e ."]."""
    with open(LIST, encoding="utf-8") as file:
        lines = file.read().partition("- pip:")[2].splitlines()
    items = [line.partition(" #")[0].strip() for line in lines]
    return [item[2:] for item in items if item.startswith("- ")]


def fingerprint():
    """What the stamp holds. It changes with environment.yml, and when the folder is moved."""
    with open(LIST, "rb") as file:
        return hashlib.sha256(file.read() + ROOT.encode()).hexdigest()


def is_finished():
    """True if .venv holds just what is asked for."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            return file.read() == fingerprint() and os.access(PYTHON, os.X_OK)
    except OSError:
        return False


def version(python):
    """The version of an interpreter, as "3.11"; None if it does not run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.check_output([python, "-c", code], stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.decode().strip()


def find_python():
    """The command of a Python 3.11 that runs here."""
    chosen = os.environ.get("PYTHON")
    names = [chosen] if chosen else ["python3.11", "python3", "python", sys.executable]
    versions = {name: version(name) for name in names}
    for name in names:
        if versions[name] == "3.11":
            return name
    found = [f"{name} is Python {versions[name]}" for name in names if versions[name]]
    raise SetupError(
        f"the course needs Python 3.11, and {' and '.join(found) or names[0] + ' does not run'}; "
        "install Python 3.11 beside it, or say where it is with PYTHON=/path/to/python3.11"
    )


def step(what, command, quiet=False):
    """Run a command in ROOT. Its errors go to LOG; the user gets a sentence that begins `what`."""
    with open(LOG, "wb") as log:
        output = log if quiet else None
        returncode = subprocess.call(command, stdout=output, stderr=log, close_fds=False)
    if returncode == 0:
        return
    with open(LOG, encoding="utf-8", errors="replace") as log:
        text = log.read()
    why = next((why for words, why in REASONS.items() if words in text), f"read {LOG}")
    if shutil.disk_usage(ROOT).free < 1e6:  # too little to have written the reason down
        why = DISK_FULL
    raise SetupError(f"{what}: {why}, then run the same command again")


def remove_half_installed():
    """Let pip see what it was killed in the middle of: it writes a package's RECORD last."""
    for info in glob.glob(os.path.join(glob.escape(VENV), "lib", "*", "*", "*.dist-info")):
        if not os.path.exists(os.path.join(info, "RECORD")):
            shutil.rmtree(info)


@contextlib.contextmanager
def alone():
    """Keep other set-ups in this folder waiting; wait for one that is at work already.

    pip holds the lock too: it goes on for a while when this script is killed.
    """
    os.makedirs("build", exist_ok=True)
    with open(os.path.join("build", "env.lock"), "w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is at work in this folder: waiting for it.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_env():
    """Make .venv and install the list, going on where the last run stopped."""
    if os.path.exists(STAMP):
        os.remove(STAMP)
    if version(PYTHON) != "3.11" or not os.path.exists(os.path.join(VENV, "bin", "pip")):
        python = find_python()
        print(f"Making .venv with {python} ...", flush=True)
        venv = [python, "-m", "venv", "--clear", VENV]
        step(f"{python} could not make .venv", venv, quiet=True)
    remove_half_installed()
    print("Installing what environment.yml lists (minutes, the first time) ...", flush=True)
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    arguments = [word for package in packages() for word in package.split()]
    step("the packages could not be installed", pip + arguments)
    with open(STAMP, "w", encoding="utf-8") as file:
        file.write(fingerprint())


def main():
    if is_finished():
        return 0
    os.chdir(ROOT)
    try:
        with alone():
            if not is_finished():
                make_env()
    except SetupError as error:
        sentence = str(error)
    except OSError as error:
        sentence = f"cannot write {error.filename or ROOT} ({error.strerror}); "
        sentence += "make room or copy the course to a folder of your own, then run it again"
    except KeyboardInterrupt:
        sentence = "the set-up was stopped; the same command goes on with it"
    else:
        print("The environment in .venv is ready.", flush=True)
        return 0
    print(f"set-up: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
