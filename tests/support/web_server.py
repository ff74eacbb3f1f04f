"""gunicorn with our configuration in a process of its own, as the Procfile starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from support.environments import environment
from support.tools import free_port
from support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class WebServer:
    """One gunicorn; its workers answer on `url`."""

    def __init__(self, folder: Path, workers: int = 1, **overrides: object) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "gunicorn.log"
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **environment(**overrides, PORT=self.port, WEB_CONCURRENCY=workers),
            "BIND_HOST": "127.0.0.1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> WebServer:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gunicorn"),
                    *("--config", "deploy/gunicorn.conf.py", "app.wsgi:app"),
                ],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, f"gunicorn answers; see {self._log}", deadline_s=60)
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the master."""
        self._running().send_signal(number)

    def wait(self) -> int:
        """Its exit code."""
        return self._running().wait(timeout=60)

    def stop(self) -> None:
        """End it, with its workers."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=60)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "this gunicorn was not started"
        return self._process

    def _answers(self) -> bool:
        assert self._running().poll() is None, f"gunicorn ended; see {self._log}"
        try:
            with urllib.request.urlopen(f"{self.url}/v1/health/live", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
