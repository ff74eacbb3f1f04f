"""The web process as the Procfile starts it: a real gunicorn on a port of its own."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.environments import environment
from support.tools import free_port, required
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]


class GunicornServer:
    """One gunicorn; `environ` is that of its processes, `log` what they say."""

    def __init__(self, folder: Path, **environ: object) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "web.log"
        self.environ = environment(
            PORT=self.port,
            BIND_HOST="127.0.0.1",
            WEB_CONCURRENCY=1,
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            HOME=folder,
        ) | {name: str(value) for name, value in environ.items()}
        self._process: subprocess.Popen[bytes] | None = None
        self._successor: int | None = None

    def __enter__(self) -> GunicornServer:
        line = re.search(r"^web: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
        assert line is not None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [required("setpriv"), "--pdeathsig", "TERM", "sh", "-c", f"exec {line[1]}"],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, f"gunicorn answers; see {self.log}", 30)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(20)
            if self._successor is not None:
                os.kill(self._successor, signal.SIGTERM)
                wait_until(lambda: not _is_alive(self._successor), "the successor is gone", 20)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    def upgrade(self) -> None:
        """Put a new master in the place of this one, as for new code: SIGUSR2, then SIGTERM."""
        assert self._process is not None
        before = self.workers
        self.signal(signal.SIGUSR2)
        (self._successor,) = wait_until(
            lambda: {pid for pid in self.workers - before if _children(pid)},
            "the new master has workers",
            30,
        )
        self._process.terminate()
        self._process.wait(30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def workers(self) -> set[int]:
        """Process ids of the workers that live at this moment."""
        assert self._process is not None
        return _children(self._process.pid)

    def signal(self, number: signal.Signals) -> None:
        """To the master."""
        assert self._process is not None
        self._process.send_signal(number)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (their names in lower case) and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, names, answer.read()
        finally:
            connection.close()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.said
        try:
            return self.call("GET", "/v1/health/live")[0] == 200
        except OSError:
            return False


def _children(pid: int) -> set[int]:
    try:
        return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except (FileNotFoundError, ProcessLookupError):
        return set()


def _is_alive(pid: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
