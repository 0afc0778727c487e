"""How a notebook's stored outputs are compared with those of a new run: nbval, and six rules more.

- A cell tagged `tolerance=0.02` may print numbers that differ from the stored ones by up to 0.02;
  all other text has to be equal.
- Outputs are compared as a reader sees them in the end: after every update of a display and every
  clearing of the output. nbval ignores both.
- Pictures are compared too, with room for what another processor draws differently, and only in
  size where the cell has a tolerance.
- A cell that was never run fails. nbval would compare it with nothing.
- After a chapter's last cell its claims are evaluated in its kernel (tests/claims), each as a test.
- A failure names chapter and cell, what was expected and what came; and at the end of the tests a
  line a notebook tells what was compared, and how.
"""

from lenet_course.drawing import store_picture

import base64
import difflib
import io
import re
from collections import Counter, defaultdict

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError, coalesce_streams
from PIL import Image

from tests.claims import load as load_claims

PICTURES = "image/png", "image/jpeg"
# How far 8 x 8 pixels of a picture may be from the stored ones on average, from black 0 to white 1:
# another processor moves a curve by a fraction of a pixel, a mistake by more.
PICTURE_TOLERANCE = 0.2
LINES_SHOWN = 20


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    nodes = yield
    return [
        Notebook.from_parent(parent, path=file_path) if type(node) is IPyNbFile else node
        for node in nodes
    ]


def pytest_terminal_summary(terminalreporter):
    """A line for each notebook: what was compared in it, and how."""
    notebooks = defaultdict(Counter)
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        found = dict(getattr(report, "user_properties", ()))
        if "notebook" in found and report.when == "call":
            counted = found.get("counted", []) if report.passed else [report.outcome]
            notebooks[found["notebook"]].update(counted)
    if notebooks:
        terminalreporter.section("notebooks")
    for notebook, tally in sorted(notebooks.items()):
        terminalreporter.line(f"{notebook}: {summary(tally)}")


def summary(tally):
    """The line on one notebook; `tally` counts its cells and claims under the words used here."""
    return (
        f"{tally['compared']} cells compared ({tally['no output']} of them without output, "
        f"{tally['tolerance']} within a tolerance, {tally['masked']} masked by the sanitize file), "
        f"{tally['not compared']} not compared, {tally['skipped']} skipped, "
        f"{tally['claims']} claims" + (f", {tally['failed']} failed" if tally["failed"] else "")
    )


class Notebook(IPyNbFile):
    """A notebook as nbval runs it, with the messages of its kernel written down."""

    def collect(self):
        self.messages = []
        for cell in super().collect():
            yield Cell.from_parent(
                self,
                name=f"cell {cell.cell_num + 1}",  # as in In [1], In [2], ...
                cell_num=cell.cell_num,
                cell=cell.cell,
                options=cell.options,
            )
        claims = load_claims(self.path.stem)
        setup = [("", claims.setup)] if claims.setup else []
        for number, (sentence, expression) in enumerate(setup + claims.claims, start=1):
            yield Claim.from_parent(
                self,
                name=f"claim {number}: {sentence[:60]}",
                sentence=sentence,
                code=f"assert ({expression}), 'it is not so'" if sentence else expression,
            )

    def get_kernel_message(self, timeout=None, stream="iopub"):
        while True:
            message = super().get_kernel_message(timeout, stream)
            if not message["msg_type"].startswith("comm"):  # widgets send many, and big ones
                self.messages.append(message)
            # nbval would only say that it does not know these two.
            if message["msg_type"] not in ("update_display_data", "clear_output"):
                return message


class Claim(pytest.Item):
    """A sentence of the chapter's text, and what must be true for it in the chapter's kernel."""

    def __init__(self, *, sentence, code, **kwargs):
        super().__init__(**kwargs)
        self.sentence, self.code = sentence, code
        counted = ["claims"] if sentence else []
        self.user_properties += [("notebook", self.path.name), ("counted", counted)]

    def runtest(self):
        client, timeout = self.parent.kernel.kc, self.config.option.nbval_cell_timeout
        answer = client.execute(self.code, allow_stdin=False, reply=True, timeout=timeout)
        error = answer["content"]
        if error["status"] == "error":
            pytest.fail(
                f"{self.path.name} says: {self.sentence}\nbut {self.code}\n"
                f"{error['ename']}: {error['evalue']}\nSee tests/claims/{self.path.stem}.py.",
                pytrace=False,
            )

    def reportinfo(self):
        return self.path, 0, f"{self.path.name}: {self.sentence}"


class Cell(IPyNbCell):
    """A code cell of a notebook."""

    def runtest(self):
        self.masked, counted = False, ["not compared"]
        self.user_properties += [("notebook", self.path.name), ("counted", counted)]
        self.parent.messages.clear()
        if self.cell.execution_count is None and not self.options["skip"]:
            self.raise_cell_error("it was saved without having been run")
        super().runtest()
        if self.options["check"]:
            found = {
                "compared": True,
                "no output": not self.cell.outputs,
                "tolerance": self.tolerance is not None,
                "masked": self.masked,
            }
            counted[:] = [word for word, holds in found.items() if holds]

    @property
    def tolerance(self):
        for tag in self.cell.metadata.get("tags", []):
            if tag.startswith("tolerance="):
                return float(tag.removeprefix("tolerance="))
        return None

    def compare_outputs(self, test, ref, skip_compare=None):
        """nbval's comparison of the new outputs `test` with the stored ones `ref`."""
        test = coalesce_streams(replay(self.parent.messages))
        if self.tolerance is not None and len(test) == len(ref):
            test = [within(new, old, self.tolerance) for new, old in zip(test, ref, strict=True)]
        if not super().compare_outputs(test, ref, skip_compare):
            self.comparison_traceback = difference(self.readable(ref), self.readable(test))
            return False
        self.comparison_traceback = picture_difference(test, ref, alike=self.tolerance is None)
        return not self.comparison_traceback

    def sanitize(self, s):
        sanitized = super().sanitize(s)
        self.masked = self.masked or sanitized != s
        return sanitized

    def readable(self, outputs):
        """The lines of what is compared of `outputs`; every output begins with its kind."""
        lines = []
        for output in outputs:
            data = output.get("data") or {
                output.get("name", "error"): output.get("text") or output.get("evalue")
            }
            for kind, content in data.items():
                if kind not in self.parent.skip_compare:
                    lines += [f"[{kind}]", *str(self.sanitize(content)).splitlines()]
        return lines

    def repr_failure(self, excinfo):
        error = excinfo.value
        if not isinstance(error, NbCellError):
            return super().repr_failure(excinfo)
        first_line = next(iter(self.cell.source.strip().splitlines()), "")
        where = f"{self.path.name}, In [{self.cell_num + 1}], `{first_line}`"
        what = {
            "Cell outputs differ": "what it gives now is not what is stored",
            "Cell execution caused an exception": "it fails",
        }.get(str(error), str(error))
        return f"{where}: {what}\n{getattr(error, 'inner_traceback', None) or ''}\n" + (
            "If what it gives now is right, run `make notebooks`, which saves it."
            if "differ" in str(error) or "without" in str(error)
            else ""
        )

    def reportinfo(self):
        return self.path, 0, f"{self.path.name}, In [{self.cell_num + 1}]"


# ---------------------------------------------------------------------------- display updates


def replay(messages):
    """The outputs that a reader sees after `messages`: those of the cell that was run last.

    By nbclient, with which `make notebooks` makes the stored ones.
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell()])
    client, (cell,) = NotebookClient(notebook, record_timing=False), notebook.cells
    client.reset_execution_trackers()
    client.clear_before_next_output = False
    last_run = messages[-1]["parent_header"]["msg_id"]
    for message in messages:
        if message["parent_header"].get("msg_id") == last_run and message["msg_type"] != "status":
            client.process_message(message, cell, 0)
    for output in cell.outputs:
        store_picture(output)
    return cell.outputs


# ---------------------------------------------------------------------------- tolerance


NUMBER = re.compile(r" *[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def snap(text, stored, tolerance):
    """`text` with each number that lies within `tolerance` of its `stored` one replaced by that."""
    numbers = iter(NUMBER.findall(stored))

    def nearest(match):
        new, old = match[0], next(numbers, match[0])
        # In a table, a number with more digits has fewer blanks before it.
        aligned = len(new) == len(old) or len(new.strip()) == len(new) - len(old) + len(old.strip())
        close = abs(float(new) - float(old)) <= tolerance + 1e-9
        return old if aligned and close else new

    return NUMBER.sub(nearest, text)


def within(new, old, tolerance):
    """The output `new` with its numbers snapped to those of the stored output `old`."""
    new = nbformat.from_dict(new)
    if "text" in new and "text" in old:
        new.text = snap(new.text, old.text, tolerance)
    for kind, content in new.get("data", {}).items():
        stored = old.get("data", {}).get(kind)
        if kind.startswith("text/") and isinstance(stored, str):
            new.data[kind] = snap(content, stored, tolerance)
    return new


# ---------------------------------------------------------------------------- what differs


def difference(expected, got):
    """Where the lines `expected` and `got` differ, for people to read."""
    changes = difflib.unified_diff(expected, got, "stored", "now", n=0, lineterm="")
    lines = [f"    {line}" for line in changes if not line.startswith("@@")]
    more = len(lines) - LINES_SHOWN
    return lines[:LINES_SHOWN] + ([f"    ... and {more} lines more"] if more > 0 else [])


def picture_difference(test, ref, alike):
    """What to say if the pictures of the outputs `test` and `ref` differ, else nothing."""
    new, old = pictures(test), pictures(ref)
    shapes, stored_shapes = ([picture.shape[::-1] for picture in them] for them in (new, old))
    if shapes != stored_shapes:
        return [f"    pictures of other sizes: {stored_shapes} stored, {shapes} now"]
    for number, (now, stored) in enumerate(zip(new, old, strict=True), start=1):
        off = np.abs(blocks(now) - blocks(stored))
        if alike and off.max() > PICTURE_TOLERANCE:
            row, column = np.unravel_index(off.argmax(), off.shape)
            place = f"({column * 8}, {row * 8})"
            return [f"    picture {number} is another, the most so around pixel {place}"]
    return []


def blocks(picture):
    """Mean brightness of every 8 x 8 pixels; what is left over at the edges does not count."""
    height, width = (size // 8 for size in picture.shape)
    return picture[: height * 8, : width * 8].reshape(height, 8, width, 8).mean(axis=(1, 3))


def pictures(outputs):
    """The pictures of `outputs` as arrays of brightness, 0..1."""
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("L"), np.float32) / 255
        for output in outputs
        for kind, content in output.get("data", {}).items()
        if kind in PICTURES
    ]
