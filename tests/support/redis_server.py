"""A redis-server of our own that can be killed, frozen and started again."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from support.tools import free_port, required
from support.waiting import wait_until


class RedisServer:
    """One server in its own folder, on its own port, which it keeps over restarts."""

    def __init__(self, folder: Path, *, persistent: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._persistent = persistent
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisServer:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(required("setpriv"), "--pdeathsig", "KILL"),
                    required("redis-server"),
                    *("--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--dir", str(self.folder), "--save", ""),
                    *("--appendonly", "yes" if self._persistent else "no"),
                    *("--appendfsync", "always" if self._persistent else "no"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, f"redis-server answers; see {self.folder}/redis.log")
        return self

    def client(self) -> Redis:
        """A plain client; the caller closes it."""
        return Redis(port=self.port)

    def flush(self) -> None:
        """Forget everything."""
        with self.client() as redis:
            redis.flushall()

    def cut_connections(self) -> int:
        """Cut every connection but our own; the number of them."""
        with self.client() as redis:
            return int(redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))

    def freeze(self) -> None:
        """It keeps its connections and says nothing any more."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was frozen."""
        self._running().send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, without a goodbye; nothing happens to one that is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again on the same port."""
        self.kill()
        self.start()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "this redis-server does not run"
        return self._process

    def _answers(self) -> bool:
        process = self._running()
        assert process.poll() is None, f"redis-server ended; see {self.folder}/redis.log"
        try:
            with self.client() as redis:
                return bool(redis.ping())
        except RedisError:
            return False
