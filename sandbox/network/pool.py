"""The runner's half: starts netd, keeps ready network namespaces, survives a netd that dies."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.config import API_ADDRESS, HostConfig
from sandbox.errors import SandboxError
from sandbox.network import messages

logger = logging.getLogger(__name__)
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_HELLO_TIMEOUT_S = 10.0
_MAX_RESTARTS_IN_A_ROW = 5
_RETRY_S = 1.0


@dataclass(frozen=True)
class NetworkSlot:
    """A network namespace that is one run's alone."""

    number: int
    namespace_fd: int


class NetworkPool:
    """Network namespaces, made ahead of use, each used once. Thread-safe.

    When netd dies, a new one takes over the namespaces that are known (their connections to the
    API break, their programs go on) and `netd_restarted` is logged.
    """

    def __init__(self, config: HostConfig, lock_fd: int) -> None:
        """Raises `SandboxError` when netd does not come up."""
        self._config = config
        self._lock_fd = lock_fd
        self._guard = threading.Lock()
        self._closing = False
        self._next_number = 0
        self._known: dict[int, int] = {}  # slot number -> namespace descriptor
        self._ready: queue.SimpleQueue[NetworkSlot] = queue.SimpleQueue()
        self._silent_deaths = 0
        self.user_namespace_fd: int | None = None
        self._start_netd()
        for _ in range(config.ready_slots):
            self._order()
        self._watcher = threading.Thread(target=self._watch, name="sandbox-netd", daemon=True)
        self._watcher.start()

    @property
    def netd_pid(self) -> int:
        return self._ready_netd_pid

    def take(self) -> NetworkSlot:
        """A ready namespace. Raises `SandboxError` when none comes within the start time-out."""
        try:
            slot = self._ready.get(timeout=self._config.start_timeout_s)
        except queue.Empty:
            raise SandboxError(
                "no network namespace became ready in time; the runner's log says what its helper"
                " (netd) met, restart the runner if that has ended for good"
            ) from None
        self._order()
        return slot

    def release(self, slot: NetworkSlot) -> None:
        """Destroy the namespace of a run that has ended."""
        with self._guard:
            if self._known.pop(slot.number, None) is None:
                return
            os.close(slot.namespace_fd)
            self._tell("release", slot.number)

    def close(self) -> None:
        """End netd and forget every namespace."""
        with self._guard:
            self._closing = True
            self._channel.shutdown(socket.SHUT_RDWR)
        self._watcher.join()
        try:
            self._netd.wait(self._config.kill_timeout_s)
        except subprocess.TimeoutExpired:
            self._netd.kill()
            self._netd.wait()
        self._channel.close()
        for fd in self._known.values():
            os.close(fd)
        self._known.clear()
        if self.user_namespace_fd is not None:
            os.close(self.user_namespace_fd)
            self.user_namespace_fd = None

    def _start_netd(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._netd = subprocess.Popen(
                [sys.executable, "-S", "-m", "sandbox.netd", str(theirs.fileno())],
                env={},
                cwd=_PACKAGE_ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), self._lock_fd],
                start_new_session=True,
            )
        self._channel = ours
        known_user_namespace = [] if self.user_namespace_fd is None else [self.user_namespace_fd]
        messages.send(ours, "configure", known_user_namespace, **_settings(self._config))
        ours.settimeout(_HELLO_TIMEOUT_S)
        try:
            answer = messages.receive(ours)
        except TimeoutError:
            answer = None
        if answer is None or answer.op != "hello":
            why = answer.fields["error"] if answer else "it ended without a word"
            self._netd.kill()
            self._netd.wait()
            ours.close()
            raise SandboxError(f"the network helper (sandbox.netd) did not start: {why}")
        ours.settimeout(None)
        self._ready_netd_pid = self._netd.pid
        if answer.fds:
            self.user_namespace_fd = answer.fds[0]

    def _order(self) -> None:
        with self._guard:
            self._next_number += 1
            self._tell("make", self._next_number)

    def _tell(self, op: str, slot: int, fds: tuple[int, ...] = ()) -> None:
        # To a netd that just died: the watcher notices as well and repeats what still matters.
        with contextlib.suppress(OSError):
            messages.send(self._channel, op, fds, slot=slot)

    def _watch(self) -> None:
        while True:
            message = messages.receive(self._channel)
            if message is not None:
                self._silent_deaths = 0
                self._heard(message)
            elif not self._revive():
                return

    def _heard(self, message: messages.Message) -> None:
        if message.op == "ready":
            slot = NetworkSlot(int(message.fields["slot"]), message.fds[0])
            with self._guard:
                self._known[slot.number] = slot.namespace_fd
            self._ready.put(slot)
            return
        logger.error("netd_request_failed", extra={"netd": dict(message.fields)})
        if message.fields["request"] == "make":
            again = threading.Timer(_RETRY_S, self._order)
            again.daemon = True
            again.start()

    def _revive(self) -> bool:
        """A new netd for the one that died; False when the pool is closing or netd keeps dying."""
        with self._guard:
            if self._closing:
                return False
            status = self._netd.wait()
            self._channel.close()
            self._silent_deaths += 1
            if self._silent_deaths > _MAX_RESTARTS_IN_A_ROW:
                logger.critical("netd_given_up", extra={"netd": {"exit_status": status}})
                self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                return False
            try:
                self._start_netd()
            except SandboxError:
                logger.critical("netd_given_up", exc_info=True)
                return False
            for number, fd in self._known.items():
                self._tell("adopt", number, (fd,))
            missing = self._config.ready_slots - self._ready.qsize()
        for _ in range(missing):
            self._order()
        logger.warning(
            "netd_restarted", extra={"netd": {"exit_status": status, "slots": len(self._known)}}
        )
        return True


def _settings(config: HostConfig) -> Mapping[str, Any]:
    api = config.api
    return {
        "name": config.name,
        "own_user_namespace": os.geteuid() != 0,
        "address": API_ADDRESS,
        "ports": list(api.listen_ports) if api else [],
        "api": [api.host, api.port] if api else None,
    }
