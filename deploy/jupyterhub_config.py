"""A class on one server: JupyterHub's configuration, explained in README.md beside it.

The course's folder and its environment are shared and only read. Each student has copies of the
chapters, runs and settings in their own home. `make hub` tries it on one machine (LENET_HUB_TRY).
"""

import contextlib
import os
import socket
import sys
from pathlib import Path

from jupyterhub.spawner import Spawner

COURSE = Path(__file__).resolve().parents[1]
HUB = Path(sys.prefix)  # the hub's own environment, with its proxy
TRY = os.environ.get("LENET_HUB_TRY")  # a folder: no accounts, no password, homes in this folder

c = get_config()  # noqa: F821 (JupyterHub defines it)

# ------------------------------------------------------------------------------ where it answers

# Behind a web server that has the certificate; README.md says how the hub can have it itself.
c.JupyterHub.bind_url = os.environ.get("LENET_HUB_URL", "http://127.0.0.1:8000")
c.JupyterHub.hub_bind_url = os.environ.get("LENET_HUB_INNER_URL", "http://127.0.0.1:8081")
proxy = HUB / "node_modules" / ".bin" / "configurable-http-proxy"
c.ConfigurableHTTPProxy.command = [str(proxy)]
c.ConfigurableHTTPProxy.api_url = os.environ.get("LENET_PROXY_URL", "http://127.0.0.1:8001")

# ------------------------------------------------------------------------------ who comes in

# Users are accounts of the server, with their passwords.
c.JupyterHub.authenticator_class = "dummy" if TRY else "pam"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"instructor"}

# ------------------------------------------------------------------------------ what starts

if TRY:
    c.JupyterHub.spawner_class = "simple"
    c.SimpleLocalProcessSpawner.home_dir_template = str(Path(TRY).absolute() / "{username}")
elif Path("/run/systemd/system").is_dir():
    c.JupyterHub.spawner_class = "systemd"  # the only one of the three that enforces limits
    c.SystemdSpawner.mem_limit = "2G"
    c.SystemdSpawner.cpu_limit = 2.0
    c.SystemdSpawner.isolate_tmp = True
else:
    c.JupyterHub.spawner_class = "localprocess"

python = COURSE / ".venv" / "bin" / "python"
c.Spawner.cmd = [str(python), str(COURSE / "deploy" / "serve.py")]
c.Spawner.default_url = "/lab/tree/my-notebooks/01_network.ipynb"
c.Spawner.http_timeout = c.Spawner.start_timeout = 900  # a whole class starts at once
c.Spawner.poll_interval = 2  # seconds until a server that died is noticed
c.JupyterHub.concurrent_spawn_limit = 0  # no queue: they wait for the processor, not for each other

c.Spawner.environment = {
    # One thread each: forty trainings with a thread per core get in each other's way.
    "OMP_NUM_THREADS": "1",
    "LENET_DATA": os.environ.get("LENET_DATA", str(COURSE / "data")),
    "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one of the home folder
}


def free_port(first: int) -> int:
    """Below 32768: no connection is given such a port before the student's server takes it."""
    for port in range(first, first + 10):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    return 0  # any


def before_start(spawner: Spawner) -> None:
    """A port of the student's own; the account `projector` has large type, as `make present`."""
    spawner.port = free_port(10_000 + 10 * (spawner.user.id % 2000))
    if spawner.user.name == "projector":
        spawner.environment["LENET_PROJECTOR"] = "1"
        spawner.default_url = "/doc/workspaces/present/tree/my-notebooks/03_training.ipynb"


c.Spawner.pre_spawn_hook = before_start

# ------------------------------------------------------------------------------ what ends

# A server that nobody has used for an hour is ended; a kernel that trains counts as used.
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600"],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    }
]
