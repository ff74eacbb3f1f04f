"""The web tier alone, as the Procfile runs it, with one process, on given services."""

import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app import admin
from app.database import Database
from benchmarks.embedded import free_port
from benchmarks.services import redis, wait_ready

_ROOT = Path(__file__).resolve().parents[1]
# Limited, so that counting is part of the figure, but never reached.
_QPS = "1000000"


@dataclass(frozen=True)
class ApiServer:
    """A running one, on a database with the schema and one client."""

    port: int
    key: str = field(repr=False)
    database: Database
    pid: int

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One request; SystemExit for an answer that is no success."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, json.dumps(body) if body else None, self.headers())
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 300:
            raise SystemExit(f"{method} {path}: {response.status} {answer}")
        return dict(answer)

    def headers(self) -> dict[str, str]:
        """Those of every request."""
        return {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}


@contextmanager
def serving(database_url: str) -> Iterator[ApiServer]:
    """Migrate the database, make a client, start gunicorn; end it afterwards."""
    port = free_port()
    keys = dict(line.split("=", 1) for line in admin.generate_keys().splitlines())
    with redis() as redis_url, tempfile.TemporaryDirectory(prefix="sequence-bench-") as folder:
        environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **keys,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "WEB_CONCURRENCY": "1",
            "RATE_LIMIT_QPS": _QPS,
            "LOG_LEVEL": "error",
            "SEQUENCE_API_URL": f"http://127.0.0.1:{port}",
        }
        _admin(environ, "migrate")
        key = json.loads(_admin(environ, "create-client", "bench"))["api_key"]
        line = ["gunicorn", "--config", "deploy/gunicorn.conf.py", "benchmarks.api_wsgi:app"]
        with (Path(folder) / "web.log").open("wb") as log:
            own = {name: value for name, value in environ.items() if "ENCRYPTION" not in name}
            process = subprocess.Popen(line, cwd=_ROOT, env=own, stdout=log, stderr=log)
        database = Database(database_url.replace("postgresql://", "postgresql+psycopg://"))
        server = ApiServer(port, key, database, process.pid)
        try:
            wait_ready(process, lambda: _is_up(server))
            yield server
        finally:
            process.terminate()
            process.wait(30)
            database.close()


def _admin(environ: dict[str, str], *arguments: str) -> str:
    line = [sys.executable, "-m", "app.admin", *arguments]
    return subprocess.run(
        line, cwd=_ROOT, env=environ, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _is_up(server: ApiServer) -> bool:
    try:
        server.call("GET", "/v1/health/live")
    except OSError:
        return False
    return True
