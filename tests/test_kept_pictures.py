"""What the save hook makes of outputs whose widgets nobody knows any more."""

import copy
import json
from types import SimpleNamespace

import pytest
from kept_pictures import STATE, VIEW, keep, widget_states
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

STATES = {
    "card": {"state": {"children": ["IPY_MODEL_slider"], "layout": "IPY_MODEL_layout"}},
    "slider": {"state": {"value": 3, "layout": "IPY_MODEL_layout"}},
    "layout": {"state": {}},
    "another": {"state": {}},
}


@pytest.fixture
def explorer():
    data = {VIEW: {"model_id": "card"}, "text/html": "<img>", "text/plain": "a picture"}
    cell = new_code_cell("explorer.show()", outputs=[new_output("display_data", data)])
    return new_notebook(cells=[new_markdown_cell("# Text"), cell])


def saved(notebook, folder, states=None, **model):
    """What is on the disk after a save by a page that holds `states`."""
    notebook = copy.deepcopy(notebook)
    if states is not None:
        notebook.metadata["widgets"] = {STATE: {"state": states}}
    model = {"type": "notebook", "content": notebook} | model
    keep(model=model, path="/mine.ipynb", contents_manager=SimpleNamespace(root_dir=folder))
    (folder / "mine.ipynb").write_text(json.dumps(model["content"]), encoding="utf-8")
    return model["content"], model["content"].cells[1].outputs[0].data


def test_states_that_the_page_holds_are_saved_as_they_are(explorer, tmp_path):
    notebook, data = saved(explorer, tmp_path, STATES)
    assert widget_states(notebook) == STATES and VIEW in data


def test_states_that_only_the_file_knows_are_kept_with_their_parts(explorer, tmp_path):
    saved(explorer, tmp_path, STATES)
    for states in (None, {}, {"new": {"state": {}}}):  # days on which nothing, or another, is run
        notebook, data = saved(explorer, tmp_path, states)
        assert set(widget_states(notebook)) == {"card", "slider", "layout", *(states or ())}
        assert VIEW in data


@pytest.mark.parametrize("content", [None, "no notebook", '{"metadata": {}}'])
def test_without_any_state_the_picture_is_shown(explorer, tmp_path, content):
    if content:
        (tmp_path / "mine.ipynb").write_text(content)
    notebook, data = saved(explorer, tmp_path)
    assert data == {"text/html": "<img>", "text/plain": "a picture"}
    assert "widgets" not in notebook.metadata
    explorer.cells[1].outputs[0].data = {VIEW: {"model_id": "card"}}  # somebody else's widget
    assert saved(explorer, tmp_path)[1] == {VIEW: {"model_id": "card"}}


def test_what_is_no_notebook_is_left_alone(tmp_path):
    for model in ({"type": "file", "content": "text"}, {"type": "notebook", "content": None}):
        before = dict(model)
        keep(model=model, path="mine.ipynb", contents_manager=SimpleNamespace(root_dir=tmp_path))
        assert model == before
