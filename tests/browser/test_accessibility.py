"""The explorers for readers who use a keyboard, a screen reader, a small screen, a dark theme."""

import axe
import pytest
from test_explorers import ALL, START, Card

ARROWS_DO_NOTHING = ("shapes", "distortion", "shuffle", "lenet5")
SIZES = {"laptop": (1366, 768), "small": (1024, 768), "hall": (1920, 1080)}


def open_all(lab, theme="light"):
    """A notebook with every explorer, in JupyterLab with its file browser."""
    cells = [f"{start}\n{call}.show()" for start, call in ALL.values()]
    notebook = lab.new([START, *cells], size=SIZES["laptop"])
    notebook.goto(lab.server.address(notebook.path.name, mode="lab"))
    notebook.set_theme(theme)
    notebook.run_all()
    assert not notebook.errors()
    notebook.show_files()
    notebook.page.locator(".jp-DirListing").wait_for()
    return notebook


def cards(notebook):
    """The cards one after the other, each scrolled to the top of what is visible."""
    for number, name in enumerate(ALL, start=1):
        notebook.scroll_to(number)
        card = notebook.cell(number).locator(".lenet-card")
        card.locator("svg").first.wait_for()
        card.evaluate("card => card.scrollIntoView({block: 'start'})")
        yield name, card


def visible_height(notebook):
    return notebook.page.locator(".jp-Notebook .jp-WindowedPanel-outer").evaluate(
        "cells => cells.clientHeight"
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_explorer_fits_and_axe_finds_nothing(lab, axe_script, theme):
    notebook = open_all(lab, theme)
    for size, (width, height) in SIZES.items():
        notebook.page.set_viewport_size({"width": width, "height": height})
        room = visible_height(notebook)
        for name, card in cards(notebook):
            box = card.bounding_box()
            picture = card.locator("svg").first.bounding_box()
            if size != "small":
                assert box["height"] <= room, f"{name} is cut off in {size}"
            # The lowest control is moved, and the greater part of the picture is still seen.
            low = box["y"] + box["height"] - room
            seen = picture["y"] + picture["height"] - max(picture["y"], low)
            assert seen > 0.6 * picture["height"], f"{name} is out of view in {size}"
            assert card.evaluate("card => card.scrollWidth <= card.clientWidth"), name
            notebook.screenshot(f"fits_{name}_{size}_{theme}")
    with notebook.unrolled():
        assert axe.findings(notebook.page, axe_script) == []
    assert not notebook.console_errors


def test_axe_finds_what_is_wrong(lab, axe_script):
    """The check itself: without its name a slider is a finding."""
    card = Card(lab, "shapes")
    assert axe.findings(card.page, axe_script) == []
    slider = card.root.get_by_role("slider").first
    slider.evaluate("slider => slider.removeAttribute('aria-label')")
    slider.evaluate("slider => slider.removeAttribute('aria-valuetext')")
    assert any("label" in finding for finding in axe.findings(card.page, axe_script))


@pytest.mark.parametrize("name", ALL)
def test_every_control_has_a_name_and_the_picture_says_its_result(lab, name):
    card = Card(lab, name)
    for role in ("slider", "button", "combobox", "spinbutton", "application"):
        for control in card.root.get_by_role(role).all():
            assert control.evaluate("e => e.ariaLabel || e.textContent || e.labels?.length"), role
    picture = card.root.get_by_role("img").first
    said = picture.get_attribute("aria-label")
    assert any(character.isdigit() for character in said), said  # a result, not only a kind
    assert not card.root.locator("[title=null]").count()
    title = card.root.locator("h3").text_content()
    card.page.get_by_role("group", name=title, exact=True).wait_for()
    for output in card.root.locator("output").all():  # it changes while one drags
        assert output.get_attribute("aria-live") == "off"
    if name in ARROWS_DO_NOTHING:
        assert not card.root.locator("[role=application], .lenet-picture [tabindex]").count()
    else:
        picture = card.root.get_by_role("application")
        assert picture.get_attribute("aria-description") == said
        picture.focus()
        card.changes(lambda: card.page.keyboard.press("ArrowLeft"))
        said = card.root.get_by_role("img").first.get_attribute("aria-label")
        assert picture.get_attribute("aria-description") == said


def test_tab_goes_through_the_card_and_the_focus_is_seen(lab):
    card = Card(lab, "convolution")
    card.picture.focus()
    seen = []
    for _ in range(5):
        card.page.keyboard.press("Tab")
        seen.append(
            card.page.evaluate(
                """() => {
                    const style = getComputedStyle(document.activeElement);
                    return [document.activeElement.tagName, style.outlineStyle, style.outlineWidth];
                }"""
            )
        )
    assert [tag for tag, *_ in seen] == ["SELECT", "INPUT", "SELECT", "SELECT", "INPUT"]
    assert [how for _, *how in seen] == [["solid", "3px"]] * 5


def test_a_control_says_why_it_waits_and_then_answers(lab):
    card = Card(lab, "drawing", after=["import time\nfor _ in range(60): time.sleep(0.1)"])
    card.notebook.run(2)
    card.page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.status"
        " === 'busy'"
    )
    before = card.svg()
    card.root.get_by_role("button", name="clear", exact=True).click()
    waiting = card.root.get_by_role("status")
    waiting.get_by_text("a cell is running").wait_for()
    assert card.svg() == before
    # Meanwhile the keyboard is not caught in the picture.
    card.picture.focus()
    card.page.keyboard.press("ArrowDown")
    card.page.keyboard.press("Tab")
    assert card.page.evaluate("document.activeElement.tagName") == "SELECT"
    card.notebook.wait()
    card.page.wait_for_function(
        "before => document.querySelector('.lenet-card svg').outerHTML !== before", arg=before
    )
    waiting.get_by_text("a cell is running").wait_for(state="detached")
    assert not card.notebook.console_errors
