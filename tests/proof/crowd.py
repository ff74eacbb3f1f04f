"""Clients of one tenant who all work on the same few names, each as fast as it is answered."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from proof.gunicorn_server import GunicornServer
from support.archives import base64_of, program

CLIENTS = 32
NAMES = ("alpha", "beta", "gamma", "delta")
ARTIFACTS = tuple(base64_of(program(f"print({number})\n")) for number in range(3))
# A name may be nobody's at the moment, a version gone or never there, 32 layers of secrets full.
EXPECTED = {200, 201, 404, 409}


@dataclass
class Tally:
    """What was answered, and the ids that any client has seen; shared by all threads."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, action: str, status: int, answer: bytes) -> None:
        with self.lock:
            self.statuses[action, status] += 1
            if status not in EXPECTED:
                self.odd.append(f"{action}: {status} {answer[:300].decode(errors='replace')}")


class CrowdClient:
    """One of them; what it asks comes from the seed and its number alone."""

    def __init__(self, server: GunicornServer, tally: Tally, seed: int, number: int) -> None:
        self.name = f"client-{number}"
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._server = server
        self._connection = server.connect()
        self._tally = tally
        self._chance = random.Random(f"{seed} {number}")
        self._until = 0.0
        self.failure: BaseException | None = None

    def begin(self, until: float) -> None:
        """Work until this moment of the monotonic clock."""
        self._until = until
        self.thread.start()

    def _run(self) -> None:
        actions: list[Callable[[str], None]] = [
            *[self._create] * 5,
            *[self._patch] * 3,
            *[self._roll_back] * 2,
            *[self._start] * 3,
            *[self._stop] * 2,
            *[self._delete] * 1,
            *[self._look] * 2,
        ]
        try:
            while time.monotonic() < self._until:
                self._chance.choice(actions)(self._chance.choice(NAMES))
        except BaseException as error:  # for the thread that waits for this one
            self.failure = error
        finally:
            self._connection.close()

    def _create(self, name: str) -> None:
        body = {
            "name": name,
            "runtime": "python",
            "entrypoint": "main.py",
            "artifact_base64": self._chance.choice(ARTIFACTS),
            "start_immediately": self._chance.random() < 0.5,
            "env": {"N": str(self._chance.randrange(100))},
            "secrets": {"KEY": "v"},
        }
        answer = self._ask("create", "POST", "", body)
        if "strategy" in answer:
            self._tally.ids[name] = answer["strategy"]["strategy_id"]

    def _patch(self, name: str) -> None:
        number = str(self._chance.randrange(100))
        change = {"secrets": {"KEY": number}} if self._chance.random() < 0.1 else {}
        self._of(name, "patch", "PATCH", "", {"env": {"N": number}, **change})

    def _roll_back(self, name: str) -> None:
        found = self._of(name, "versions", "GET", "/versions")
        kept = [one["version"] for one in found.get("versions", [])]
        if kept:
            # The oldest is the one that is about to be forgotten.
            version = self._chance.choice([*kept, kept[-1]])
            self._of(name, "rollback", "POST", "/rollback", {"version": version})

    def _start(self, name: str) -> None:
        self._of(name, "start", "POST", "/start")

    def _stop(self, name: str) -> None:
        self._of(name, "stop", "POST", "/stop")

    def _delete(self, name: str) -> None:
        self._of(name, "delete", "DELETE", "")

    def _look(self, name: str) -> None:
        self._ask("list", "GET", "")
        self._of(name, "get", "GET", "")

    def _of(self, name: str, action: str, method: str, path: str, body: Any = None) -> Any:
        strategy_id = self._tally.ids.get(name)
        return self._ask(action, method, f"/{strategy_id}{path}", body) if strategy_id else {}

    def _ask(self, action: str, method: str, path: str, body: Any = None) -> Any:
        headers = {
            "Authorization": f"Bearer {self._server.key}",
            "Content-Type": "application/json",
        }
        content = None if body is None else json.dumps(body)
        self._connection.request(method, f"/v1/strategies{path}", content, headers)
        response = self._connection.getresponse()
        answer = response.read()
        self._tally.note(action, response.status, answer)
        return json.loads(answer)
