"""Open a chapter in JupyterLab: `make lab` and `make present`.

    python scripts/open_lab.py [--present] [01_network] [JupyterLab's own arguments]

It opens the reader's own copy, in my-notebooks/. --present is for a projector: the notebook alone
on the screen, in large type, and in a workspace of its own, so that your own JupyterLab stays
arranged as it is.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import my_notebooks

ROOT = Path(__file__).resolve().parents[1]

# Of what is installed beside JupyterLab, a reader needs none of these, and waits for each.
NOT_NEEDED = {name: False for name in ("nbdime", "notebook", "notebook_shim")}
NOT_SHOWN = {
    "disabledExtensions": {
        "nbdime-jupyterlab": True,
        "@jupyter-notebook/lab-extension": True,
    }
}

# No question about news, no look for updates: what is installed is pinned. And widgets are kept in
# the notebook, so that their last picture is there when it is opened the next day.
QUIET = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True},
}
NO_STATUS_BAR = {"@jupyterlab/statusbar-extension:plugin": {"visible": False}}
# 20 px where the screen is 1920 px wide, in proportion elsewhere.
LARGE = {"code-font-size": "max(14px, 1.04vw)", "content-font-size1": "max(15px, 1.1vw)"}
HIDDEN = {"collapsed": True, "visible": False, "widgets": []}
NOTEBOOK_ALONE = {"left": HIDDEN, "right": HIDDEN, "top": {"simpleVisibility": False}}


def lab_arguments(chapter: str, present: bool, folder: Path, root: Path | None = None) -> list[str]:
    """What JupyterLab is started with; the settings that this names are written to `folder`."""
    path = f"tree/my-notebooks/{chapter}.ipynb"
    arguments = [
        "--ip=127.0.0.1",
        # Not my-notebooks/, or links to pictures lead nowhere.
        f"--ServerApp.root_dir={root or ROOT}",
        f"--LabApp.app_settings_dir={folder}",
        f"--ServerApp.jpserver_extensions={NOT_NEEDED}",
        "--ServerApp.answer_yes=True",  # so that one Ctrl-C is enough
        "--ContentsManager.pre_save_hook=kept_pictures.keep",
        "--Application.log_level=ERROR",
    ]
    if hasattr(os, "getuid") and os.getuid() == 0:
        arguments.append("--allow-root")  # as in containers: JupyterLab refuses root otherwise
    (folder / "page_config.json").write_text(json.dumps(NOT_SHOWN))
    (folder / "overrides.json").write_text(json.dumps(QUIET | (NO_STATUS_BAR if present else {})))
    if not present:
        return [*arguments, f"--LabApp.default_url=/lab/{path}"]
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    workspace = {"data": {"layout-restorer:data": NOTEBOOK_ALONE}, "metadata": {"id": "present"}}
    WorkspacesManager(str(folder)).save("present", json.dumps(workspace))
    return [
        *arguments,
        f"--LabApp.workspaces_dir={folder}",
        f"--LabApp.user_settings_dir={large_type(folder / 'settings')}",
        f"--LabApp.default_url=/doc/workspaces/present/{path}",
    ]


def large_type(folder: Path) -> Path:
    """Copy the user's settings to `folder`, with large type; return it."""
    from json5 import loads
    from jupyterlab.commands import get_user_settings_dir

    if Path(get_user_settings_dir()).exists():
        shutil.copytree(get_user_settings_dir(), folder)
    themes = folder / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
    themes.parent.mkdir(parents=True, exist_ok=True)
    own = loads(themes.read_text(encoding="utf-8")) if themes.exists() else {}
    themes.write_text(json.dumps(own | {"overrides": LARGE}), encoding="utf-8")
    return folder


def readers_folder() -> Path:
    """Where the reader's copies lie, brought up to date: the course, or ~/lenet if it is not
    the reader's to write to."""
    places = [ROOT, Path(os.path.expanduser("~"), "lenet")]
    for root in places:
        try:
            for line in my_notebooks.copy_chapters(root):
                print(line)
            return root
        except OSError as error:
            reason = error
        except ValueError as error:
            sys.exit(f"make lab: {error}")
    sys.exit(
        f"make lab: your copies of the chapters can be written neither to {places[0]} nor to "
        f"{places[1]} ({reason.strerror}); make room, or copy the course to a folder of your own"
    )


def skip_what_is_slow() -> None:
    """Before JupyterLab is imported: a grammar of web addresses that it builds and never uses.

    Building it takes half of JupyterLab's start, and twenty students start at once.
    """
    sys.modules["rfc3987_syntax"] = None


def open_chapter(chapter: str, present: bool, further: list[str], folder: Path) -> None:
    """Run JupyterLab until it is ended; `folder` is for its settings."""
    root = readers_folder()
    skip_what_is_slow()
    from ipykernel.kernelspec import write_kernel_spec
    from jupyterlab.labapp import LabApp

    # This environment's kernel, whatever kernels a home folder has, and without its warnings.
    # It loads PyTorch at once, while the browser loads JupyterLab.
    load = "import lenet_helpers; del lenet_helpers"
    quick = ["--log-level=ERROR", f"--IPKernelApp.exec_lines={[load]}"]
    write_kernel_spec(str(folder / "kernels" / "python3"), extra_arguments=quick)
    others = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = os.pathsep.join([str(folder), *([others] if others else [])])

    server = LabApp.initialize_server([*lab_arguments(chapter, present, folder, root), *further])
    line = f"The course is open at {server.public_url} (Ctrl-C here ends it)"
    server.identity_provider.token_generated = False  # or it would say all this again

    async def begin() -> None:
        print(line, flush=True)
        name = f"{chapter}.ipynb"  # its kernel starts while the browser does
        await server.session_manager.create_session(
            path=f"my-notebooks/{name}", name=name, type="notebook", kernel_name="python3"
        )

    server.io_loop.add_callback(begin)
    server.start()


def main() -> None:
    parser = argparse.ArgumentParser(description="Open a chapter in JupyterLab.")
    parser.add_argument("chapter", nargs="?", default="01_network", help="as 01_network")
    parser.add_argument("--present", action="store_true", help="for a projector")
    options, further = parser.parse_known_args()
    if options.present:
        os.environ["LENET_PROJECTOR"] = "1"
    with tempfile.TemporaryDirectory(prefix="lenet-lab-") as folder:
        home = os.path.expanduser("~")
        if not os.access(home, os.W_OK):
            print(f"The home folder {home} cannot be written: settings are kept until you leave.")
            os.environ["HOME"] = folder
        open_chapter(options.chapter, options.present, further, Path(folder))


if __name__ == "__main__":
    main()
