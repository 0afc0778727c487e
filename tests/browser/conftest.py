"""What the tests in a browser share; lab.py says how they open and drive a notebook."""

import axe
import pytest
from lab import Lab, Server, chromium


@pytest.fixture(scope="session")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lab"))
    yield server
    server.close()


@pytest.fixture
def presenting(tmp_path, browser):
    """JupyterLab as `make present` starts it."""
    server = Server(tmp_path, present=True)
    lab = Lab(server, browser)
    yield lab
    lab.close_all()
    server.close()


@pytest.fixture
def lab(server, browser):
    lab = Lab(server, browser)
    yield lab
    lab.close_all()


@pytest.fixture(scope="session")
def axe_script(tmp_path_factory):
    return axe.script_of_axe(tmp_path_factory.mktemp("axe"))
