"""The platform as an operator runs it: the Procfile's lines, each kept alive by a supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from acceptance.procfile_platform import procfile
from acceptance.support import ROOT, Api, clean_environ, wait_for
from chaos.wire import Wire
from chaos.witness import Witness
from support.groups import control_groups
from support.postgres_server import PostgresServer
from support.redis_server import RedisServer
from support.tools import free_port

RUNNERS = ("one", "two")
READY_WITHIN_S = 60.0
_AGAIN_S = 0.2


@dataclass
class Part:
    """One process of the Procfile; whenever it ends it is started again, until `end`."""

    name: str
    line: str
    environ: dict[str, str] = field(repr=False)
    log: Path
    exits: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ending = threading.Event()
        self._process = self._begin()
        self._thread = threading.Thread(target=self._keep, name=f"keep-{self.name}")
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens to one that has just ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def children(self, module: str) -> list[int]:
        """Process ids of its helpers of this Python module."""
        with contextlib.suppress(OSError):
            tasks = Path(f"/proc/{self.pid}/task").iterdir()
            pids = [pid for task in tasks for pid in (task / "children").read_text().split()]
            return [int(pid) for pid in pids if _runs(pid, module)]
        return []

    def end(self, within_s: float = 30.0) -> None:
        """SIGTERM, and SIGKILL to one that does not go."""
        self._ending.set()
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._thread.join()

    def _keep(self) -> None:
        while True:
            status = self._process.wait()
            if self._ending.is_set():
                return
            self.exits.append(status)
            self._ending.wait(_AGAIN_S)
            if self._ending.is_set():
                return
            self._process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "sh", "-c", f"exec {self.line}"],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


class Platform:
    """Web, two runners, the scheduler, Redis and PostgreSQL; each runner on wires of its own."""

    def __init__(self, folder: Path, lease_s: float) -> None:
        self.folder = folder
        self.lease_s = lease_s
        # A process dies with the thread that started it, and faults come from threads that end.
        self._hand = ThreadPoolExecutor(max_workers=1)
        self.witness = Witness()
        self.redis = RedisServer(folder / "redis").start()
        self.postgres = PostgresServer(durable=True).start()
        self.database = self.postgres.create_database()
        self.wires = {
            (name, what): Wire(port)
            for name in RUNNERS
            for what, port in (("redis", self.redis.port), ("postgres", self.postgres.port))
        }
        self.parts: dict[str, Part] = {}
        self.port = free_port()
        self.key = ""

    @property
    def api(self) -> Api:
        """With the client's live key."""
        return Api(f"http://127.0.0.1:{self.port}", self.key)

    def start(self) -> None:
        """All of it; returns when both runners are ready."""
        environ = self._environ(self.postgres.port, self.redis.port)
        environ |= _keys(_admin("generate-keys", environ))
        _admin("migrate", environ)
        self.key = json.loads(_admin("create-client", environ, "acme"))["api_key"]
        lines = procfile()
        for name in ("web", "scheduler"):
            self.parts[name] = Part(name, lines[name], environ, self.folder / f"{name}.log")
        for number, name in enumerate(RUNNERS):
            wires = (self.wires[name, "postgres"].port, self.wires[name, "redis"].port)
            own = environ | self._environ(*wires)
            own |= {
                "RUNNER_NAME": f"chaos-{os.getpid()}-{name}",
                "RUNNER_FIRST_UID": str(1_600_000_000 + number * 1000),
            }
            self.parts[name] = Part(name, lines["runner"], own, self.folder / f"{name}.log")
        wait_for("two ready runners", self._is_ready, READY_WITHIN_S)

    def lasting(self, start: Callable[[], object]) -> None:
        """Start a process that outlives the calling thread."""
        self._hand.submit(start).result()

    def close(self) -> None:
        """End everything; logs stay."""
        for name in (*RUNNERS, "web", "scheduler"):
            if name in self.parts:
                self.parts[name].end()
        for wire in self.wires.values():
            wire.close()
        self.redis.kill()
        self.postgres.stop()
        self.witness.close()
        self._hand.shutdown()

    def groups(self) -> list[Path]:
        """Control groups of runs that are still there."""
        return control_groups(f"sequence-chaos-{os.getpid()}-*/*-*")

    def _environ(self, postgres_port: int, redis_port: int) -> dict[str, str]:
        database = f"postgresql://sequence@127.0.0.1:{postgres_port}/{self.database}"
        return clean_environ(
            self.folder,
            DATABASE_URL=database,
            REDIS_URL=f"redis://127.0.0.1:{redis_port}/0",
            PORT=str(self.port),
            BIND_HOST="127.0.0.1",
            WEB_CONCURRENCY="1",
            SEQUENCE_API_URL=f"http://127.0.0.1:{self.witness.port}",
            RUNNER_MAX_STRATEGIES="30",
            RUNNER_QUEUES="default",
            LEASE_SECS=f"{self.lease_s:g}",
            HEARTBEAT_SECS=f"{self.lease_s / 5:g}",
            SWEEP_SECS="0.3",
            REQUEUE_AFTER_SECS="2",
            STOP_GRACE_SECS="2",
            LOG_MAX_LINES="1000",
        )

    def _is_ready(self) -> bool:
        said = [(self.folder / f"{name}.log").read_text(errors="replace") for name in RUNNERS]
        if not all(re.search(r"@\S+ ready\.", text) for text in said):
            return False
        try:
            return self.api.call("GET", "/v1/health/ready").status == 200
        except OSError:
            return False


def _runs(pid: str, module: str) -> bool:
    try:
        return f"-m\0{module}\0" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _keys(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def _admin(command: str, environ: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "app.admin", command, *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
