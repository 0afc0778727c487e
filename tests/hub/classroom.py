"""A real hub on free ports, and students who sign in to it by the addresses a browser uses."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import requests
from websocket import WebSocketConnectionClosedException, create_connection

COURSE = Path(__file__).resolve().parents[2]
HUB = COURSE / "build" / "hub"  # made by `make hub-env`
PATIENCE = 1200  # seconds, for anything: a slow machine is no failure


@contextlib.contextmanager
def hub(folder: Path, accounts: tuple[Path, ...] = ()):
    """The hub; yields its address. Nothing of it is left running.

    Anybody may sign in, and gets a home in `folder`; or only the accounts of the machine, of which
    `accounts` are the homes of those that the test has made.
    """
    urls = [f"http://127.0.0.1:{port}" for port in free_ports(3)]
    names = ("LENET_HUB_URL", "LENET_HUB_INNER_URL", "LENET_PROXY_URL")
    settings = dict(zip(names, urls, strict=True))
    homes = accounts or (folder / "homes",)
    if not accounts:
        homes[0].mkdir(parents=True)
        settings["LENET_HUB_TRY"] = str(homes[0])
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [HUB / "bin" / "jupyterhub", "-f", COURSE / "deploy" / "jupyterhub_config.py"],
            cwd=folder,
            env=os.environ | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(lambda: requests.get(f"{urls[0]}/hub/api/").ok, process)
            yield urls[0]
        except BaseException:
            print_warnings_of(folder / "log")
            raise
        finally:
            process.terminate()  # it ends the students' servers
            try:
                process.wait(60)
            finally:
                with contextlib.suppress(ProcessLookupError):  # the proxy, if the hub left it
                    os.killpg(process.pid, signal.SIGKILL)
                for home in homes:
                    end_all_in(home)


def print_warnings_of(log: Path) -> None:
    """What pytest shows below a failure: the log, without information and answers "not yet"."""
    noise = re.compile(r"\[I |.*\[ConfigProxy\].*info|\[W .*\] 424 GET ")
    lines = log.read_text(errors="replace").splitlines()
    print("the hub's log:", *[line for line in lines if not noise.match(line)][-80:], sep="\n")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(condition, process=None) -> None:
    """Wait until `condition()` is true; addresses that do not answer yet are waited for, too."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(requests.ConnectionError):
            if condition():
                return
        assert process is None or process.poll() is None, "the hub has ended; see its log"
        time.sleep(1)  # twenty who ask more often keep a core busy
    raise TimeoutError(f"nothing for {PATIENCE} s")


def processes_of(folder: Path) -> dict[int, list[str]]:
    """Process IDs, and their command lines, of all whose home is `folder` or lies in it."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables = (path / "environ").read_bytes().decode(errors="replace").split("\0")
            home = next((v[5:] for v in variables if v.startswith("HOME=")), "")
            if Path(home).is_relative_to(folder):
                words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found[int(path.name)] = words
    return found


def end_all_in(folder: Path) -> None:
    for pid in processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Student:
    """Somebody with a name and a browser's cookies."""

    def __init__(self, url: str, name: str, homes: Path) -> None:
        self.url, self.name, self.home = url, name, homes / name
        self.session = requests.Session()
        self.server = f"{url}/user/{name}"

    def sign_in(self, password: str = "") -> None:
        page = self.session.get(f"{self.url}/hub/login")
        page.raise_for_status()
        form = {"username": self.name, "password": password, "_xsrf": self.xsrf()}
        answer = self.session.post(f"{self.url}/hub/login", data=form, allow_redirects=False)
        if answer.status_code != 302:
            raise PermissionError(f"{self.name} was not let in: {answer.status_code}")

    def xsrf(self) -> str:
        return self.session.cookies.get("_xsrf", path="/hub/")

    def open_server(self) -> None:
        """Start their own server; from then on `api` asks it."""
        headers = {"X-XSRFToken": self.xsrf(), "Referer": f"{self.url}/hub/home"}
        path = f"{self.url}/hub/api/users/{self.name}"
        answer = self.session.post(f"{path}/tokens", headers=headers, json={})
        answer.raise_for_status()
        self.token = {"Authorization": f"token {answer.json()['token']}"}
        try:
            self.start_server(path)
        except AssertionError as error:
            print(f"{error}: {self.name} tries again, as a person would")
            self.start_server(path)

    def start_server(self, path: str) -> None:
        answer = requests.post(f"{path}/server", headers=self.token)
        assert answer.status_code in (201, 202), answer.text
        wait_for(self.answers)

    def answers(self) -> bool:
        assert self.is_open(), f"the server of {self.name} did not start"
        return self.api("get", "status").ok

    def is_open(self) -> bool:
        user = requests.get(f"{self.url}/hub/api/users/{self.name}", headers=self.token).json()
        return bool(user["servers"])

    def api(self, verb: str, path: str, **options) -> requests.Response:
        return requests.request(
            verb, f"{self.server}/api/{path}", headers=self.token, timeout=PATIENCE, **options
        )

    def start_kernel(self) -> None:
        answer = self.api("post", "kernels", json={"name": "python3", "path": "my-notebooks"})
        answer.raise_for_status()
        self.kernel = answer.json()["id"]
        self.connect()

    def connect(self) -> None:
        """To the kernel; again, as JupyterLab does, where a server that is busy has let go."""
        address = f"{self.server}/api/kernels/{self.kernel}/channels?session_id={self.name}"
        address = address.replace("http", "ws", 1)
        self.socket = create_connection(address, header=self.token, timeout=PATIENCE)

    def run(self, code: str) -> str:
        """Run a cell; return what it printed. Raises AssertionError with the cell's error."""
        message_id = uuid.uuid4().hex
        header = {"msg_id": message_id, "msg_type": "execute_request", "version": "5.3"}
        header |= {"username": self.name, "session": self.name, "date": ""}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.socket.send(json.dumps(message | {"channel": "shell"}))
        printed = ""
        while True:
            try:
                message = json.loads(self.socket.recv())
            except WebSocketConnectionClosedException:
                self.connect()  # what was sent meanwhile is kept for this session
                continue
            if message["parent_header"].get("msg_id") != message_id:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                printed += content["text"]
            elif kind == "error":
                raise AssertionError(f"{self.name}: {content['ename']}: {content['evalue']}")
            elif kind == "status" and content["execution_state"] == "idle":
                return printed

    def run_chapter(self, chapter: str) -> None:
        """All cells of their own copy, from top to bottom; one that is to fail may."""
        answer = self.api("get", f"contents/my-notebooks/{chapter}.ipynb")
        answer.raise_for_status()
        for cell in nbformat.from_dict(answer.json()["content"]).cells:
            if cell.cell_type == "code":
                with contextlib.suppress(
                    *[AssertionError] * ("raises-exception" in cell.metadata.get("tags", []))
                ):
                    self.run(cell.source)

    def kernel_pid(self) -> int:
        return int(self.run("import os; print(os.getpid())"))


def open_class(url: str, homes: Path, count: int) -> list[Student]:
    """So many students, signed in at once, their servers open, chapter 2 run in each kernel."""
    students = [Student(url, f"student-{i:02}", homes) for i in range(count)]
    with ThreadPoolExecutor(count) as pool:
        for step in (Student.sign_in, Student.open_server, Student.start_kernel):
            list(pool.map(step, students))
        list(pool.map(lambda student: student.run_chapter("02_shape_tracing"), students))
    return students
