"""Deque's accessibility checker, axe-core, over what the course shows in a notebook.

    findings(page, script)      what is wrong in outputs and texts, a line each

It looks at outputs and at Markdown only: the page around them (menus, prompts, editors, the list of
cells) is JupyterLab's own. What is JupyterLab's within them is listed here, with the reason.
"""

import tarfile
from pathlib import Path

from fetch_data import npm_package

PACKAGE = "axe-core@4.14.1"
COURSE = [".jp-OutputArea-output", ".jp-RenderedMarkdown"]
EXCEPTIONS = {
    # The rule, and a part of the element's HTML: why it is not the course's.
    ("scrollable-region-focusable", "jp-"): "JupyterLab makes the outputs scroll",
}

RUN = """
async course => {
    const {violations} = await axe.run({include: course.map(found => [found])}, {
        resultTypes: ["violations"],
    });
    return violations.filter(v => ["serious", "critical"].includes(v.impact)).flatMap(
        v => v.nodes.map(node => [v.id, node.html, node.failureSummary]));
}
"""


def script_of_axe(folder: Path) -> str:
    """The checker's JavaScript, from its npm package."""
    with tarfile.open(npm_package(folder, PACKAGE)) as tar:
        return tar.extractfile("package/axe.min.js").read().decode()


def findings(page, script: str) -> list[str]:
    """All serious and critical findings that are the course's."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(script)
    course = [found for found in COURSE if page.locator(found).count()]
    found = []
    for rule, html, why in page.evaluate(RUN, course):
        known = any(rule == name and part in html for name, part in EXCEPTIONS)
        if not known:
            found.append(f"{rule}: {html[:200]}: {' '.join(why.split())}")
    return found
