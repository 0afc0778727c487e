"""What the hub starts for a student: copies of the chapters in ~/lenet, then their own JupyterLab.

Copies are made and brought up to date as by `make lab` (scripts/my_notebooks.py): one that was
changed or run is never written to.
"""

import os
import sys
import tempfile
from pathlib import Path

COURSE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(COURSE / "scripts"))

import my_notebooks  # noqa: E402 (found in the line above)
import open_lab  # noqa: E402


def main() -> None:
    home = Path.home()
    os.environ.setdefault("LENET_RUNS", str(home / "lenet-runs"))
    os.umask(0o077)  # nobody else reads what is written from here on; homes are often open
    for line in my_notebooks.copy_chapters(home / "lenet"):
        print(line)
    (home / "lenet").chmod(0o700)
    present = bool(os.environ.get("LENET_PROJECTOR"))
    chapter = "03_training" if present else "01_network"
    settings = Path(tempfile.mkdtemp(prefix="lenet-hub-"))
    # Kernels listen on sockets in a folder of the student's own: twenty servers that look for free
    # ports at once find the same ones. The folder's name is short, as the name of a socket must be.
    os.environ["JUPYTER_RUNTIME_DIR"] = str(settings)
    arguments = open_lab.lab_arguments(chapter, present, settings, root=home / "lenet")
    arguments = [a for a in arguments if not a.startswith("--ip=")]  # where to listen, the hub says
    arguments += ["--KernelManager.transport=ipc", *sys.argv[1:]]
    open_lab.skip_what_is_slow()
    from jupyterhub.singleuser import main as serve

    sys.argv[1:] = arguments
    serve()


if __name__ == "__main__":
    main()
