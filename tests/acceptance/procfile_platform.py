"""The processes of the Procfile, started by hand as an operator would, line by line."""

import base64
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from support.tools import free_port

from . import processes
from .support import ROOT, Api, clean_environ, wait_for

FLOWER_USER = "operator:" + "o" * 24
_FIRST_UID = 1_500_000_000
READY_WITHIN_S = 40.0
ENDS_WITHIN_S = 25.0
_LINE = re.compile(r"([a-z]+): (.+)")


def procfile() -> dict[str, str]:
    """Command lines by process type."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    found = [_LINE.fullmatch(line) for line in lines]
    assert all(found), lines
    return {match[1]: match[2] for match in found if match}


class ProcfilePlatform:
    """One web, one runner, one scheduler, one Flower, and a redis-server of their own."""

    def __init__(self, folder: Path, database_url: str, **environ: str) -> None:
        self.folder = folder
        self.database_url = database_url
        self.runner_name = f"{folder.name}-{os.getpid()}"
        self.redis_port, self.port, self.flower_port = free_port(), free_port(), free_port()
        self.environ = clean_environ(folder)
        keys = dict(line.split("=", 1) for line in self._admin("generate-keys").splitlines())
        self.private_key = keys["CREDENTIAL_ENCRYPTION_KEY"]
        self.environ = clean_environ(
            folder,
            **keys,
            DATABASE_URL=database_url,
            REDIS_URL=f"redis://127.0.0.1:{self.redis_port}/0",
            PORT=str(self.port),
            BIND_HOST="127.0.0.1",
            SEQUENCE_API_URL=f"http://127.0.0.1:{self.port}",
            RUNNER_NAME=self.runner_name,
            RUNNER_FIRST_UID=str(_FIRST_UID + self.redis_port % 5_000 * 100_000),
            FLOWER_BASIC_AUTH=FLOWER_USER,
            FLOWER_PORT=str(self.flower_port),
            FLOWER_ADDRESS="127.0.0.1",
            **environ,
        )
        self.keys: dict[str, str] = {}
        self.wire = b""  # of Redis, as far as somebody listened
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Redis, release, the first client, and then everything that stays."""
        lines = procfile()
        redis = ["--port", str(self.redis_port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        line = shlex.join(["redis-server", *redis, "--save", ""])
        self._begin("redis", line, clean_environ(self.folder))
        release = subprocess.run(
            lines.pop("release"),
            shell=True,
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert release.returncode == 0, release.stderr
        self.keys = json.loads(self._admin("create-client", "acme"))
        for name, line in lines.items():
            self._begin(name, line, self.environ)
        wait_for("a ready platform", self._is_ready, READY_WITHIN_S)
        wait_for("Flower's view of the runner", self._flower_knows, READY_WITHIN_S)

    @property
    def api(self) -> Api:
        """The API with the live key."""
        return Api(f"http://127.0.0.1:{self.port}", self.keys.get("api_key", ""))

    def flower(self, path: str, user: str = FLOWER_USER) -> tuple[int, str]:
        """Status and body of a page of Flower's own API."""
        token = base64.b64encode(user.encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.flower_port}{path}",
            headers={"Authorization": f"Basic {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def flower_json(self, path: str) -> Any:
        """The parsed body of a page that must be there."""
        status, body = self.flower(path)
        assert status == 200, body
        return json.loads(body)

    def log(self, name: str) -> str:
        """What a process wrote."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def tree(self, name: str) -> list[processes.Process]:
        """A process of the Procfile with everything that it started."""
        alive = processes.all_processes()
        found = [process for process in alive if process.pid == self.running[name].pid]
        for process in found:  # grows while it is walked
            found += [child for child in alive if child.parent == process.pid]
        return found

    def end(self) -> dict[str, int]:
        """SIGTERM to one after the other, Redis last; the exit status of each."""
        for name in ("runner", "web", "scheduler", "market", "flower", "redis"):
            process = self.running.get(name)
            if process is not None:
                process.terminate()
                process.wait(ENDS_WITHIN_S)
        return {name: process.returncode for name, process in self.running.items()}

    def close(self) -> None:
        """Kill what a failed test left."""
        for process in self.running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(ENDS_WITHIN_S)

    def remains(self) -> list[str]:
        """Processes and control groups that are still there."""
        found = processes.of_platform(str(self.folder), self.runner_name)
        groups = processes.control_groups(self.runner_name)
        return [f"{p.pid} {p.command}" for p in found] + [str(group) for group in groups]

    @classmethod
    @contextmanager
    def alive(cls, folder: Path, database_url: str, **environ: str) -> Iterator[Self]:
        """All of it; at the end each process leaves with status 0 and without a trace."""
        platform = cls(folder, database_url, **environ)
        try:
            platform.start()
            yield platform
            assert platform.end() == dict.fromkeys(platform.running, 0)
            assert platform.remains() == []
        finally:
            platform.close()

    def _begin(self, name: str, line: str, environ: dict[str, str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "sh", "-c", f"exec {line}"],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _admin(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "app.admin", *arguments],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _is_ready(self) -> bool:
        ended = {name: p.returncode for name, p in self.running.items() if p.poll() is not None}
        assert not ended, {name: self.log(name)[-2000:] for name in ended}
        try:
            return self.api.call("GET", "/v1/health/ready").status == 200
        except OSError:
            return False

    def _flower_knows(self) -> bool:
        try:
            status, body = self.flower("/api/workers?refresh=1")
        except OSError:
            return False
        return status == 200 and self.runner_name in body
