"""The runner as the Procfile starts it, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from support.runner import Station
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
FIRST_UID = 340_000


class Worker:
    """One worker, and what it says."""

    def __init__(self, place: Station, log: Path) -> None:
        self.log = log
        line = re.search(r"^runner: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
        assert line is not None
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["sh", "-c", f"exec {line[1]}"],
                cwd=ROOT,
                env={
                    **place.environ,
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "RUNNER_FIRST_UID": str(FIRST_UID),
                    "LOG_LEVEL": "info",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_ready(self) -> None:
        wait_until(
            lambda: "runner_ready" in self.said or self.process.poll() is not None,
            "the runner is ready",
            30,
        )
        assert self.process.poll() is None, self.said

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """Without a goodbye; its own network helper clears away after it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
