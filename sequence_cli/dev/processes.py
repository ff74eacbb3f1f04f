"""One child process of the embedded platform: started, watched, started again, ended."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_MAX_LOG_BYTES = 10 << 20
_LONG_LIFE_S = 30.0
_MAX_PAUSE_S = 10.0


@dataclass(frozen=True)
class Command:
    """What to start: a shell command line, where, with which environment and log."""

    name: str
    line: str
    cwd: Path
    environ: dict[str, str]
    log_path: Path


class Child:
    """A process that is kept alive; everything here is called from the main thread alone.

    The kernel ends a child with the thread that started it, so that nothing outlives a killed
    `sequence dev`.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self.fd = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._quick_deaths = 0

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        return self._process.pid if self._process else 0

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; `fd` becomes readable when it ends."""
        with _open_log(self.command.log_path) as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "sh", "-c", f"exec {self.command.line}"],
                cwd=self.command.cwd,
                env=self.command.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.fd = os.pidfd_open(self._process.pid)
        self._started_at = time.monotonic()

    def reap(self) -> tuple[int, float]:
        """After its end: exit status, and how long to wait before the next start, in seconds."""
        assert self._process is not None  # noqa: S101 - only called for a started child
        status = self._process.wait()
        os.close(self.fd)
        self.fd = -1
        lived_s = time.monotonic() - self._started_at
        self._quick_deaths = 0 if lived_s > _LONG_LIFE_S else self._quick_deaths + 1
        pause_s = 0.0 if self._quick_deaths <= 1 else min(_MAX_PAUSE_S, 0.5 * 2**self._quick_deaths)
        return status, pause_s

    def terminate(self) -> None:
        """Ask it to end."""
        if self.is_alive and self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def kill_group(self) -> None:
        """End it and what it left behind in its process group."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def last_lines(self, count: int) -> list[str]:
        """The end of its log."""
        text = self.command.log_path.read_text(errors="replace")
        return text.splitlines()[-count:]


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")
