"""Open a chapter in JupyterLab: `make lab` and `make present`.

    python scripts/open_lab.py [--present] 01_network [JupyterLab's own arguments]

--present is for a projector: JupyterLab's single-document view with nothing beside the notebook,
in a workspace of its own, so that your own JupyterLab stays arranged as it is.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

from jupyterlab import labapp
from jupyterlab_server.workspaces_handler import WorkspacesManager

ROOT = Path(__file__).resolve().parents[1]

# No question about news, no look for updates: what is installed is pinned.
QUIET = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}
NO_STATUS_BAR = {"@jupyterlab/statusbar-extension:plugin": {"visible": False}}
HIDDEN = {"collapsed": True, "visible": False, "widgets": []}
NOTEBOOK_ALONE = {"left": HIDDEN, "right": HIDDEN, "top": {"simpleVisibility": False}}


def lab_arguments(chapter: str, present: bool, folder: Path) -> list[str]:
    """What JupyterLab is started with; the settings that this names are written to `folder`."""
    path = f"tree/notebooks/{chapter}.ipynb"
    overrides = folder / "overrides.json"
    arguments = [
        "--ip=127.0.0.1",
        f"--ServerApp.root_dir={ROOT}",  # not notebooks/, or links to the README lead nowhere
        f"--LabApp.app_settings_dir={folder}",
    ]
    if os.getuid() == 0:
        arguments.append("--allow-root")  # as in containers: JupyterLab refuses root otherwise
    if not present:
        overrides.write_text(json.dumps(QUIET))
        return [*arguments, f"--LabApp.default_url=/lab/{path}"]
    overrides.write_text(json.dumps(QUIET | NO_STATUS_BAR))
    workspace = {"data": {"layout-restorer:data": NOTEBOOK_ALONE}, "metadata": {"id": "present"}}
    WorkspacesManager(str(folder)).save("present", json.dumps(workspace))
    return [
        *arguments,
        f"--LabApp.workspaces_dir={folder}",
        f"--LabApp.default_url=/doc/workspaces/present/{path}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Open a chapter in JupyterLab.")
    parser.add_argument("chapter", help="the notebook's name without its ending")
    parser.add_argument("--present", action="store_true", help="for a projector")
    options, further = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="lenet-lab-") as folder:
        labapp.main(lab_arguments(options.chapter, options.present, Path(folder)) + further)


if __name__ == "__main__":
    main()
