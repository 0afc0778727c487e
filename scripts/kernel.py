"""A real Jupyter kernel for tests, faults and measurements: cells run as a notebook's do."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from jupyter_client.manager import KernelManager

COURSE = Path(__file__).resolve().parents[1]


class Kernel:
    """A kernel of this Python in the folder of the chapters; `with Kernel() as kernel: ...`.

    `before` is put in front of its command line, `environment` is added to its own.
    """

    def __init__(
        self, folder: Path = COURSE / "notebooks", before: Sequence[str] = (), **environment: str
    ) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv = [
            *before, sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
        ]  # fmt: skip
        self.manager.start_kernel(cwd=str(folder), env={**os.environ, **environment})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=300)

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    @property
    def pid(self) -> int:
        return self.manager.provisioner.process.pid

    def run(self, source: str, on_output: Callable = lambda content: None) -> tuple[str, list]:
        """Run a cell; its error in a line, or "", and its outputs as (kind, content)."""
        outputs = []

        def keep(message):
            if message["msg_type"] != "status":
                outputs.append((message["msg_type"], message["content"]))
                on_output(message["content"])

        self.client.execute_interactive(source, store_history=False, output_hook=keep, timeout=1800)
        errors = [content for kind, content in outputs if kind == "error"]
        return (f"{errors[0]['ename']}: {errors[0]['evalue']}" if errors else ""), outputs

    def printed(self, source: str) -> str:
        """What a cell prints. Raises RuntimeError if it fails."""
        error, outputs = self.run(source)
        if error:
            raise RuntimeError(error)
        return "".join(content["text"] for kind, content in outputs if kind == "stream")

    def restart(self) -> None:
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=300)
