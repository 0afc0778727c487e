"""The hub as a class uses it: accounts of the machine, with passwords and homes of their own."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import classroom
import pytest

NAMES = ("lenet-test-1", "lenet-test-2")
HOMES = Path("/home")


def runs_as_nobody(program: str) -> bool:
    command = ["su", "-s", "/bin/sh", "nobody", "-c", f"{program} -c pass"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two accounts with open servers and kernels; they are deleted afterwards."""
    if os.getuid() != 0:
        pytest.skip("only root can make accounts")
    if not runs_as_nobody(sys.executable):
        pytest.skip(f"{sys.executable} can be run by root only")
    passwords, made = {name: secrets.token_hex(8) for name in NAMES}, []
    try:
        for name, password in passwords.items():
            subprocess.run(["useradd", "--create-home", name], check=True)
            made.append(name)
            line = f"{name}:{password}\n"
            subprocess.run(["chpasswd"], input=line, text=True, check=True)
        homes = tuple(HOMES / name for name in NAMES)
        with classroom.hub(tmp_path_factory.mktemp("hub"), homes) as url:
            students = [classroom.Student(url, name, HOMES) for name in NAMES]
            for student in students:
                with pytest.raises(PermissionError):
                    student.sign_in("a wrong password")
                student.sign_in(passwords[student.name])
                student.open_server()
                student.start_kernel()
            yield students
    finally:
        for name in made:
            subprocess.run(["userdel", "--remove", "--force", name], capture_output=True)


def test_nobody_sees_the_files_of_another(pair):
    one, other = pair
    other.run("open('mine.txt', 'w').write('secret')")
    path = other.home / "lenet" / "my-notebooks" / "mine.txt"
    assert path.read_text() == "secret" and path.owner() == other.name
    with pytest.raises(AssertionError, match="PermissionError"):
        one.run(f"open({str(path)!r}).read()")


def test_the_course_is_only_read(pair):
    path = classroom.COURSE / "lenet_helpers.py"
    for student in pair:
        with pytest.raises(AssertionError, match="PermissionError"):
            student.run(f"open({str(path)!r}, 'a')")
