"""The embedded platform as a whole: start in order, keep alive, end in order."""

import contextlib
import http.client
import os
import selectors
import shlex
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sequence_cli.dev import procfile
from sequence_cli.dev.environment import Embedded
from sequence_cli.dev.output import say
from sequence_cli.dev.processes import Child, Command
from sequence_cli.errors import CliError

_READY_WITHIN_S = 30.0
_POLL_S = 0.05
# A runner gives its strategies up to 15 s of grace and needs some more to hand them on.
_WORKERS_END_WITHIN_S = 28.0
_REDIS_ENDS_WITHIN_S = 3.0
_PROCESSES = ("web", "runner", "scheduler", "market")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Platform:
    """Redis and the Procfile's web, runner, scheduler and market."""

    def __init__(self, embedded: Embedded) -> None:
        self._embedded = embedded
        lines = procfile.read(embedded.root)
        self._redis = self._child(
            "redis", f"redis-server {shlex.quote(str(_redis_config(embedded)))}"
        )
        self._workers = [self._child(name, lines[name]) for name in _PROCESSES]
        self._restart_at: dict[str, float] = {}
        self._stops = 0

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {child.command.name: child.pid for child in self._children()}

    def run(self, on_ready: Callable[[], None]) -> int:
        """Start everything, call `on_ready`, keep it alive until a stop signal; the exit status.

        Raises:
            CliError: a process did not come up; the message has the end of its log.
        """
        with _signals() as signal_fd:
            try:
                self._start()
                if self._wait_until_ready(signal_fd):
                    on_ready()
                    self._keep_alive(signal_fd)
            finally:
                self._stop(signal_fd)
        return 0

    def _children(self) -> list[Child]:
        return [*self._workers, self._redis]

    def _child(self, name: str, line: str) -> Child:
        embedded = self._embedded
        log_path = embedded.folder / "logs" / f"{name}.log"
        # Redis reads none of the settings, and the keys among them are not for it.
        environ = dict(os.environ) if name == "redis" else embedded.environ
        return Child(Command(name, line, embedded.root, environ, log_path))

    def _start(self) -> None:
        for child in (self._redis, *self._workers):
            child.start()

    def _wait_until_ready(self, signal_fd: int) -> bool:
        """True when the API says that all is there; False when a stop came first."""
        until = time.monotonic() + _READY_WITHIN_S
        while not _is_ready(self._embedded.port):
            for child in self._children():
                if not child.is_alive:
                    raise _failed(child, "ended while it started")
            if time.monotonic() > until:
                raise _failed(self._workers[1], f"not ready within {_READY_WITHIN_S:.0f} s")
            if self._stop_came(signal_fd, _POLL_S):
                return False
        return True

    def _keep_alive(self, signal_fd: int) -> None:
        """Start again what ends, until a stop signal comes."""
        while True:
            with selectors.DefaultSelector() as selector:
                selector.register(signal_fd, selectors.EVENT_READ, None)
                for child in self._children():
                    if child.fd >= 0:
                        selector.register(child.fd, selectors.EVENT_READ, child)
                ready = [key.data for key, _ in selector.select(self._pause_s())]
            if None in ready:
                self._stop_came(signal_fd, 0)
                return
            for child in ready:
                self._bury(child)
            self._restart_due()

    def _bury(self, child: Child) -> None:
        name = child.command.name
        # A gunicorn worker that outlives its master keeps the port for another second.
        child.kill_group()
        status, pause_s = child.reap()
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        when = f"in {pause_s:.0f} s" if pause_s else "now"
        say(f"{name} ended ({how}); starting it again {when}; log: {child.command.log_path}")
        self._restart_at[name] = time.monotonic() + pause_s

    def _restart_due(self) -> None:
        for child in self._children():
            at = self._restart_at.get(child.command.name)
            if at is not None and time.monotonic() >= at:
                del self._restart_at[child.command.name]
                child.start()

    def _pause_s(self) -> float | None:
        if not self._restart_at:
            return None
        return max(0.0, min(self._restart_at.values()) - time.monotonic())

    def _stop(self, signal_fd: int) -> None:
        """Workers first, for they still need Redis; what does not end is killed."""
        for child in self._workers:
            child.terminate()
        self._wait_for(self._workers, _WORKERS_END_WITHIN_S, signal_fd)
        self._redis.terminate()
        self._wait_for([self._redis], _REDIS_ENDS_WITHIN_S, signal_fd)
        for child in self._children():
            child.kill_group()

    def _wait_for(self, children: list[Child], timeout_s: float, signal_fd: int) -> None:
        until = time.monotonic() + timeout_s
        while any(child.is_alive for child in children) and time.monotonic() < until:
            self._stop_came(signal_fd, _POLL_S)
            if self._stops > 1:
                return
        for child in children:
            if child.is_alive:
                say(f"{child.command.name} does not end; killing it")

    def _stop_came(self, signal_fd: int, timeout_s: float) -> bool:
        """Whether a stop signal arrives within this time; a second one ends all patience."""
        with selectors.DefaultSelector() as selector:
            selector.register(signal_fd, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                return False
        self._stops += len(os.read(signal_fd, 64))
        return True


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """A descriptor on which one byte arrives for each stop signal."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    old = {number: signal.signal(number, lambda *_: None) for number in _STOP_SIGNALS}
    old_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield reader.fileno()
    finally:
        signal.set_wakeup_fd(old_fd)
        for number, handler in old.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()


def _redis_config(embedded: Embedded) -> Path:
    """Redis's configuration as a file: a password has no place on a command line."""
    path = embedded.folder / "redis.conf"
    (embedded.folder / "redis").mkdir(exist_ok=True)
    text = f"""\
bind 127.0.0.1
port {embedded.redis_port}
requirepass {embedded.redis_password}
dir {embedded.folder}/redis
appendonly yes
appendfsync everysec
save ""
"""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return path


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v1/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _failed(child: Child, what: str) -> CliError:
    path = child.command.log_path
    return CliError(f"{child.command.name} {what}; its log is {path}", child.last_lines(12))
