"""The open connections of one web process, and the keeper that looks after them."""

import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from websockets.frames import CloseCode

from app.clients.service import Principal, valid_keys
from app.database import Database
from app.errors import UnavailableError
from market.stream.connection import Connection, text_frame
from market.stream.hub import Hub
from market.stream.limit import ConnectionLimit

log = logging.getLogger(__name__)

_TICK_S = 0.5
_KEYS_EVERY_S = 1.0
_PING_EVERY_S = 20.0
_LEASES_EVERY_S = 10.0
_NAMES_MAX = 2_000
_AWAY = json.dumps(
    {
        "error": {
            "code": "MARKET_UNAVAILABLE",
            "message": "no market process answers: prices stand still until it is back",
        }
    }
)


class Streams:
    """Serves connections, each in a thread (a greenlet, under gevent) of its caller."""

    def __init__(self, database: Database, hub: Hub, limit: ConnectionLimit) -> None:
        self._database = database
        self._hub = hub
        self._limit = limit
        self._connections: dict[str, Connection] = {}
        self._lock = threading.Lock()
        self._is_ending = False
        self._is_kept = False

    def admit(self, principal: Principal) -> str:
        """A place for a connection, by its id; `serve` gives it back.

        Raises RateLimitedError, UnavailableError when this process is going, and
        redis.exceptions.RedisError.
        """
        if self._is_ending:
            raise UnavailableError("this process is being replaced; connect again", retry_after_s=1)
        connection_id = secrets.token_hex(8)
        self._limit.take(principal.client_id, connection_id)
        return connection_id

    def serve(
        self, connection_id: str, sock: socket.socket, greeting: bytes, who: Principal
    ) -> None:
        """Serve a socket: send `greeting`, the answer to its handshake, and go on to the end."""
        connection = Connection(sock, who)
        connection.send(greeting)
        with self._lock:
            self._connections[connection_id] = connection
            if not self._is_kept:
                self._is_kept = True
                threading.Thread(target=self._keep, name="stream-keeper", daemon=True).start()
        if self._is_ending:
            _say_restart(connection)
        try:
            connection.read(lambda text: self._take(connection, text))
        finally:
            with self._lock:
                del self._connections[connection_id]
            self._hub.leave(connection)
            try:
                self._limit.release(who.client_id, connection_id)
            except RedisError as error:
                log.warning("stream_lease_left", extra={"error": type(error).__name__})

    def shut_down(self) -> None:
        """This process ends: everybody is told to connect again."""
        self._is_ending = True
        for connection in self._open().values():
            _say_restart(connection)

    def _take(self, connection: Connection, text: str) -> None:
        """One message of a client."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        wanted = {name: _names(message, name) for name in ("subscribe", "unsubscribe")}
        if not any(wanted.values()):
            _refuse(connection, 'send {"subscribe": [...]} or {"unsubscribe": [...]} with names')
            return
        try:
            if wanted["subscribe"]:
                self._hub.subscribe(connection, wanted["subscribe"])
            if wanted["unsubscribe"]:
                self._hub.unsubscribe(connection, wanted["unsubscribe"])
        except RedisError:
            _refuse(connection, "Redis does not answer; send it again in a moment")

    def _keep(self) -> None:
        due = dict.fromkeys((self._ping, self._check_keys, self._renew), 0.0)
        every_s: dict[Callable[[], None], float] = {
            self._ping: _PING_EVERY_S,
            self._check_keys: _KEYS_EVERY_S,
            self._renew: _LEASES_EVERY_S,
        }
        while True:
            time.sleep(_TICK_S)
            self._cut_those_who_do_not_go()
            for duty, since_s in due.items():
                if time.monotonic() - since_s < every_s[duty]:
                    continue
                due[duty] = time.monotonic()
                try:
                    duty()
                except (RedisError, SQLAlchemyError) as error:
                    log.warning("stream_duty_failed", extra={"error": type(error).__name__})
                except Exception:
                    log.exception("stream_keeper_broken")

    def _open(self) -> dict[str, Connection]:
        with self._lock:
            return dict(self._connections)

    def _cut_those_who_do_not_go(self) -> None:
        for connection in self._open().values():
            if connection.cut_at_s is not None and connection.cut_at_s < time.monotonic():
                connection.cut()

    def _ping(self) -> None:
        for connection in self._open().values():
            connection.ping()

    def _check_keys(self) -> None:
        """Keys that were revoked or ran out have nothing to see any more."""
        connections = self._open().values()
        keys = {one.principal.key_id for one in connections}
        if keys:
            with self._database.reading() as session:
                keys -= valid_keys(session, keys)
        for one in connections:
            if one.principal.key_id in keys:
                one.close(CloseCode.POLICY_VIOLATION, "the API key was revoked, or ran out")
        self._check_market()

    def _check_market(self) -> None:
        is_alive = self._hub.is_market_alive()
        if self._hub.saw_market and not is_alive:
            for connection in self._open().values():
                connection.send(text_frame(_AWAY))
        self._hub.saw_market = is_alive

    def _renew(self) -> None:
        self._limit.renew([(one.principal.client_id, name) for name, one in self._open().items()])


def _names(message: Any, verb: str) -> list[str]:
    """The channels of a message; none when it is not a list of names."""
    found = message.get(verb) if isinstance(message, dict) else None
    if not isinstance(found, list) or len(found) > _NAMES_MAX:
        return []
    return found if all(isinstance(one, str) for one in found) else []


def _refuse(connection: Connection, reason: str) -> None:
    error = {"error": {"code": "BAD_REQUEST", "message": reason}}
    connection.send(text_frame(json.dumps(error)))


def _say_restart(connection: Connection) -> None:
    connection.close(CloseCode.SERVICE_RESTART, "the platform replaces this process; connect again")
