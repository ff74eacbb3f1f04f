"""A platform of its own for measurements, and a client that speaks plain HTTP to it."""

import base64
import http.client
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SETTLE_WITHIN_S = 20.0


@dataclass(frozen=True)
class Platform:
    """A running `sequence dev`."""

    host: str
    key: str
    redis_url: str = field(repr=False)
    pids: dict[str, int]
    folder: Path

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One request on a connection of its own; the answer's JSON."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, self.headers())
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 300:
            raise SystemExit(f"{method} {path}: {response.status} {answer}")
        return dict(answer)

    def create(self, name: str, source: str) -> str:
        """A strategy with this one file, not started; its id."""
        body = {
            "name": name,
            "runtime": "python",
            "entrypoint": "main.py",
            "artifact_base64": base64.b64encode(_tar(source)).decode(),
        }
        return str(self.call("POST", "/v1/strategies", body)["strategy"]["strategy_id"])

    def start(self, strategy_id: str) -> float:
        """Start; Unix time at which the answer was there."""
        self.call("POST", f"/v1/strategies/{strategy_id}/start")
        return time.time()

    def stop_and_wait(self, strategy_id: str) -> None:
        """Stop, and wait until it has."""
        self.call("POST", f"/v1/strategies/{strategy_id}/stop")
        self.wait_for(strategy_id, "stopped")

    def wait_for(self, strategy_id: str, status: str) -> None:
        """Wait until the strategy has this status."""
        until = time.monotonic() + _SETTLE_WITHIN_S
        while self.call("GET", f"/v1/strategies/{strategy_id}")["strategy"]["status"] != status:
            if time.monotonic() > until:
                raise SystemExit(f"{strategy_id} is not {status} after {_SETTLE_WITHIN_S:.0f} s")
            time.sleep(0.01)

    @contextmanager
    def follow(self, strategy_id: str, after: str) -> Iterator[Iterator[tuple[float, str]]]:
        """Unix time of arrival and text of each line of stdout behind `after`, as they come."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        path = f"/v1/strategies/{strategy_id}/logs?follow=true&after={after}"
        connection.request("GET", path, headers=self.headers())
        response = connection.getresponse()
        response.readline()  # the first comment: the follower is in place
        try:
            yield _stdout_lines(response)
        finally:
            connection.close()

    def headers(self) -> dict[str, str]:
        """Those of every request."""
        return {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}


@contextmanager
def running(**settings: str) -> Iterator[Platform]:
    """Start `sequence dev` with these settings in a folder of its own; end it afterwards."""
    command = [str(Path(sys.executable).with_name("sequence")), "dev", "--json"]
    with tempfile.TemporaryDirectory(prefix="sequence-bench-") as folder:
        command += ["--port", str(free_port()), "--data-dir", folder]
        environ = {**os.environ, **settings}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
        try:
            assert process.stdout is not None
            facts = json.loads(process.stdout.readline())
            host = facts["api_url"].removeprefix("http://")
            yield Platform(
                host, facts["test_api_key"], facts["redis_url"], facts["pids"], Path(folder)
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _stdout_lines(response: http.client.HTTPResponse) -> Iterator[tuple[float, str]]:
    for raw in response:
        if raw.startswith(b"data:"):
            record = json.loads(raw[5:])
            if record.get("stream") == "stdout":
                yield time.time(), record["line"]


def _tar(source: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("main.py")
        member.size = len(source.encode())
        tar.addfile(member, io.BytesIO(source.encode()))
    return buffer.getvalue()


def free_port() -> int:
    """A loopback port that nothing listens on at this moment.

    Below the kernel's range for outgoing connections: one of those might take it before its user.
    """
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
