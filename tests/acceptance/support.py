"""What the acceptance tests share: waiting, the API over plain HTTP, the command line."""

import base64
import contextlib
import http.client
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SEQUENCE = BIN / "sequence"
ANSWER_WITHIN_S = 30.0

Row = dict[str, Any]
Found = TypeVar("Found")

_POLL_S = 0.02
_never = threading.Event()


def wait_for(what: str, look: Callable[[], Found], within_s: float = 15.0) -> Found:
    """What `look` answers as soon as it is true; AssertionError when that takes too long."""
    until = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {within_s:g} s: {what}; last seen: {found!r}")
        _never.wait(_POLL_S)
    return found


def clean_environ(home: Path, **extra: str) -> dict[str, str]:
    """An environment that owes nothing to the person who runs the tests but the way to tools."""
    path = f"{BIN}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **extra}


def artifact(files: Mapping[str, str]) -> bytes:
    """A tar.gz of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


@dataclass(frozen=True)
class Answer:
    """What the API answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.content)


@dataclass(frozen=True)
class Event:
    """A server-sent event."""

    kind: str
    id: str | None
    data: dict[str, Any]


@dataclass
class Follow:
    """An open live log; a context manager whose `events()` end with the event `end`."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse

    def __enter__(self) -> "Follow":
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()
        self.connection.close()

    def events(self) -> Iterator[Event]:
        """Events as they come; silence for longer than `ANSWER_WITHIN_S` is an error."""
        fields: dict[str, str] = {}
        for raw in self.response:
            line = raw.decode().rstrip("\n")
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                event = Event(fields["event"], fields.get("id"), json.loads(fields["data"]))
                fields = {}
                yield event
                if event.kind == "end":
                    return


@dataclass(frozen=True)
class Api:
    """The platform's API as one key sees it, without any client library."""

    url: str
    key: str = field(repr=False)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, `body` as JSON when there is one; the answer whatever its status."""
        connection, response = self._send(method, path, body, headers or {})
        try:
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def create(self, name: str, program: str, *, start: bool = True, **fields: Any) -> Row:
        """Create, or replace, a strategy whose main.py is `program`; its row."""
        body = {
            "name": name,
            "runtime": "python",
            "entrypoint": "main.py",
            "artifact_base64": base64.b64encode(artifact({"main.py": program})).decode(),
            "start_immediately": start,
            **fields,
        }
        return self._row("POST", "/v1/strategies", body)

    def row(self, strategy_id: str) -> Row:
        """The strategy's present row."""
        return self._row("GET", f"/v1/strategies/{strategy_id}")

    def start(self, strategy_id: str) -> Row:
        """Ask for its start."""
        return self._row("POST", f"/v1/strategies/{strategy_id}/start")

    def stop(self, strategy_id: str) -> Row:
        """Ask for its stop."""
        return self._row("POST", f"/v1/strategies/{strategy_id}/stop")

    def delete(self, strategy_id: str) -> None:
        """Delete it."""
        answer = self.call("DELETE", f"/v1/strategies/{strategy_id}")
        assert answer.status == 200, answer.content

    def rows(self) -> list[Row]:
        """All rows that the key sees."""
        answer = self.call("GET", "/v1/strategies")
        assert answer.status == 200, answer.content
        return list(answer.json["strategies"])

    def wait(self, strategy_id: str, within_s: float = 15.0, **wanted: Any) -> Row:
        """The row once it has these values."""
        seen: Row = {}

        def look() -> Row | None:
            seen.update(self.row(strategy_id))
            return seen if all(seen[key] == value for key, value in wanted.items()) else None

        try:
            return wait_for(f"{wanted}", look, within_s) or seen
        except AssertionError as error:
            log = [record["line"] for record in self.lines(strategy_id)][-15:]
            raise AssertionError(f"{error}; row: {seen}; log: {log}") from None

    def stopped(self, strategy_id: str, within_s: float = 15.0) -> Row:
        """Stop it, and the row once it is."""
        self.stop(strategy_id)
        return self.wait(strategy_id, within_s, status="stopped")

    def lines(self, strategy_id: str, run_id: str | None = None) -> list[Row]:
        """Records of the latest run, or of the one that is named."""
        query = f"?run_id={run_id}" if run_id else ""
        answer = self.call("GET", f"/v1/strategies/{strategy_id}/logs{query}")
        assert answer.status == 200, answer.content
        return list(answer.json["logs"])

    def wait_line(self, strategy_id: str, start: str, within_s: float = 15.0) -> str:
        """The first line of the latest run that begins with `start`, once there is one."""

        def look() -> str | None:
            texts = [record["line"] for record in self.lines(strategy_id)]
            return next((text for text in texts if text.startswith(start)), None)

        return wait_for(f"a line {start!r}", look, within_s) or ""

    def follow(self, strategy_id: str, last_event_id: str | None = None) -> Follow:
        """Its live log, behind the line with this id."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        path = f"/v1/strategies/{strategy_id}/logs?follow=true"
        connection, response = self._send("GET", path, None, headers)
        assert response.status == 200, response.read()
        return Follow(connection, response)

    def history(self, strategy_id: str) -> list[Row]:
        """Every record of every run of a strategy that has ended for good."""
        with self.follow(strategy_id, "1-0") as follow:
            return [event.data for event in follow.events() if event.kind == "log"]

    def _row(self, method: str, path: str, body: Any = None) -> Row:
        answer = self.call(method, path, body)
        assert answer.status in (200, 201), (answer.status, answer.content)
        row: Row = answer.json["strategy"]
        return row

    def _send(
        self, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            str(address.hostname), address.port, timeout=ANSWER_WITHIN_S
        )
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, sent | dict(headers))
        return connection, connection.getresponse()


@dataclass(frozen=True)
class CommandLine:
    """The `sequence` command of one person, who has a home folder of their own."""

    home: Path
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def run(self, *arguments: str, typed: str = "", exit_code: int = 0) -> str:
        """What the command prints on stdout; AssertionError when its exit status is another."""
        done = subprocess.run(
            [SEQUENCE, *arguments],
            env=clean_environ(self.home, **self.environ),
            cwd=self.home,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == exit_code, (done.returncode, done.stdout, done.stderr)
        return done.stdout if exit_code == 0 else done.stdout + done.stderr

    def spawn(self, *arguments: str, **streams: Any) -> "subprocess.Popen[bytes]":
        """The command in the background, with these streams; the caller ends it."""
        return subprocess.Popen(
            [SEQUENCE, *arguments],
            env=clean_environ(self.home, **self.environ),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            **streams,
        )

    @contextlib.contextmanager
    def begin(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """The command in the background, for as long as the context lasts."""
        with subprocess.Popen(
            [SEQUENCE, *arguments],
            env=clean_environ(self.home, **self.environ),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def said(records: list[Row]) -> list[str]:
    """What the strategy itself wrote on stdout."""
    return [record["line"] for record in records if record["stream"] == "stdout"]
