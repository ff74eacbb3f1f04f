"""A real market process, and what a web process would ask of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from redis import Redis

from market.calls import MarketCalls, MarketUnavailableError
from support.environments import environment
from support.tools import required
from support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class MarketProcess:
    """`python -m market.service` on these services; may be ended and started again."""

    def __init__(self, folder: Path, database_url: str, redis_url: str, **environ: str) -> None:
        self.log_path = folder / "market.log"
        self.redis_url = redis_url
        self.calls = MarketCalls(redis_url, wait_s=2.0)
        self._environ = environment(
            DATABASE_URL=database_url, REDIS_URL=redis_url, LOG_LEVEL="info", **environ
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, is_open: bool = True) -> MarketProcess:
        """Start it, and wait until it answers unless it is not expected to."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    required("setpriv"),
                    "--pdeathsig",
                    "KILL",
                    sys.executable,
                    "-m",
                    "market.service",
                ],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if is_open:
            wait_until(self._answers, f"the market answers; see {self.log_path}")
        return self

    def terminate(self) -> int:
        """Ask it to end; its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None
        status = self._process.wait(timeout=15)
        self._process = None
        return status

    def kill(self) -> None:
        """End it at once; nothing happens to one that is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it, and every connection."""
        self.kill()
        self.calls.close()

    def said(self, event: str) -> bool:
        """Whether its log has this event."""
        return f'"event": "{event}"' in self.log_path.read_text()

    def ok(self, operation: str, owner: str = "ann:test", **arguments: Any) -> Any:
        """What the market answers to a request that works."""
        answer = self.calls.ask(operation, owner, arguments)
        assert "ok" in answer, answer
        return answer["ok"]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log_path.read_text()[-2000:]
        try:
            return bool(self.ok("settings", "nobody:test"))
        except MarketUnavailableError:
            return False


def forget_lease(redis_url: str) -> None:
    """The lease of a market that was killed need not be waited for in every test."""
    with Redis.from_url(redis_url) as redis:
        redis.delete("market:lease")
