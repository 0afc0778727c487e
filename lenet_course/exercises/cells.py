"""Which cell made which name, so that no check judges what an earlier cell has left behind."""

import re
import symtable

from IPython import InteractiveShell

# Where Python itself cannot read the cell:
# `def name`, `name = ...`, `name, other = ...`, `name: kind = ...`, `name += ...` begin a line.
MAKES = re.compile(r"^[ \t]*(?:def +(\w+)|([\w, ]+?) *(?::[^=\n]*)?[-+*/]*=(?!=))", re.MULTILINE)


def _names_made_by(code):
    """The names that a cell's code makes, outside of its functions."""
    try:
        table = symtable.symtable(re.sub(r"(?m)^%+\w* ?", "", code), "cell", "exec")
    except (SyntaxError, ValueError):  # not finished, or with a line for the shell
        named = ",".join("".join(found) for found in MAKES.findall(code))
        return {name.strip() for name in named.split(",")}
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


class Cells:
    """Watches the cells of an IPython shell; without a shell every name is up to date."""

    def __init__(self, shell: InteractiveShell | None = None) -> None:
        self._shell = shell
        self._made = {}  # name: (cell, id of the value) of its last making
        self._outdated = {}  # name: what is the matter with the cell that should have made it
        if shell:
            shell.events.register("post_run_cell", self._after_cell)

    def _after_cell(self, result):
        cell, namespace = getattr(result.info, "cell_id", None), self._shell.user_ns
        makes = _names_made_by(result.info.raw_cell or "")
        made_here = {name for name, (maker, _) in self._made.items() if cell and maker == cell}
        for name in makes | made_here:
            maker, before = self._made.get(name, (None, None))
            now = id(namespace.get(name))
            self._outdated.pop(name, None)
            if not result.success and now == before:
                self._outdated[name] = "has ended in an error"
            elif name not in makes:
                self._outdated[name] = f"makes no `{name}` any more"
            self._made[name] = (cell if name in makes else maker, now)

    def why_outdated(self, name: str, value: object) -> str:
        """What is the matter with the cell of `name`, if `value` is what it made earlier; or ""."""
        is_it = self._shell is not None and self._shell.user_ns.get(name) is value
        return self._outdated.get(name, "") if is_it else ""
