"""The web tier as the Procfile starts it: gunicorn, several processes, on given services."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.environments import environment
from support.tools import free_port, required
from support.waiting import wait_until

from app.clients.service import KeyHasher, KeyKind, create_key, ensure_client
from app.database import Database

ROOT = Path(__file__).parents[2]
_READY_WITHIN_S = 30.0
_ENDS_WITHIN_S = 20.0


@dataclass(frozen=True)
class GunicornServer:
    """A running one; `key` is a live key with every scope."""

    port: int
    key: str = field(repr=False)
    log: Path
    process: subprocess.Popen[bytes]

    def connect(self) -> http.client.HTTPConnection:
        """A connection of the caller's own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def workers(self) -> dict[int, int]:
        """Resident bytes of each process that answers requests, by its id."""
        main = self.process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return {int(pid): _resident_bytes(int(pid)) for pid in children}

    @property
    def said(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")


@contextmanager
def gunicorn(
    database: Database, redis_url: str, folder: Path, **overrides: object
) -> Iterator[GunicornServer]:
    """Start it on these services and wait until it answers; end it afterwards."""
    port, log = free_port(), folder / "web.log"
    environ = environment(
        DATABASE_URL=database.url,
        REDIS_URL=redis_url,
        PORT=port,
        BIND_HOST="127.0.0.1",
        SEQUENCE_API_URL=f"http://127.0.0.1:{port}",
        **overrides,
    )
    del environ["CREDENTIAL_ENCRYPTION_KEY"]
    key = _key(database, environ["API_KEY_HASH_KEY"])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [required("setpriv"), "--pdeathsig", "KILL", "sh", "-c", f"exec {_line()}"],
            cwd=ROOT,
            env=environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    server = GunicornServer(port, key, log, process)
    try:
        wait_until(lambda: _answers(server), f"gunicorn answers; see {log}", _READY_WITHIN_S)
        yield server
    finally:
        process.terminate()
        process.wait(_ENDS_WITHIN_S)


def _line() -> str:
    found = re.search(r"^web: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def _key(database: Database, hash_key: str) -> str:
    with database.transaction() as session:
        client = ensure_client(session, "acme")
        return create_key(
            session, KeyHasher(hash_key), client.client_id, KeyKind(False, "proof")
        ).raw


def _answers(server: GunicornServer) -> bool:
    assert server.process.poll() is None, server.said
    connection = server.connect()
    try:
        connection.request("GET", "/v1/health/live")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
