"""What JupyterLab runs before it saves a notebook: no output loses its last picture.

An explorer's output is a view of a widget, which lives in a kernel. JupyterLab saves the states of
those widgets that its page holds, and of no others: after a restart, or when a notebook is opened
the next day and saved again, they would be lost, and "model not found" stand in the output's place.
"""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def keep(model: dict, path: str, contents_manager: Any, **_: Any) -> None:
    """jupyter_server's `pre_save_hook`.

    The states that the file on the disk still has are kept. A view whose state nobody has any more
    goes, and the picture beside it is shown.
    """
    if model.get("type") != "notebook" or not model.get("content"):
        return
    notebook = model["content"]
    outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", [])]
    shown = [output["data"] for output in outputs if VIEW in output.get("data", {})]
    state = widget_states(notebook)
    wanted = {data[VIEW]["model_id"] for data in shown}
    if not wanted <= state.keys():
        with suppress(OSError, ValueError):  # a new notebook, or one that was damaged by hand
            file = Path(contents_manager.root_dir, path.strip("/"))
            old = widget_states(json.loads(file.read_text(encoding="utf-8")))
            state |= with_their_parts(old, wanted - state.keys())
    if state:
        widgets = notebook["metadata"].setdefault("widgets", {})
        widgets[STATE] = {"version_major": 2, "version_minor": 0, "state": state}
    for data in shown:
        if data[VIEW]["model_id"] not in state and len(data) > 1:
            del data[VIEW]


def widget_states(notebook: dict) -> dict[str, dict]:
    """The states of the widgets in a notebook, by the ids of their models."""
    return notebook.get("metadata", {}).get("widgets", {}).get(STATE, {}).get("state", {})


def with_their_parts(states: dict[str, dict], ids: set[str]) -> dict[str, dict]:
    """Those of `states` that `ids` name, and the ones that these refer to."""
    found, todo = {}, [name for name in ids if name in states]
    while todo:
        name = todo.pop()
        found[name] = states[name]
        parts = re.findall(r"IPY_MODEL_(\w+)", json.dumps(states[name]))
        todo += [part for part in parts if part in states and part not in found]
    return found
