"""The runner's half: keeps ready network namespaces, survives a netd that dies."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any

from sandbox.config import HostConfig
from sandbox.errors import SandboxError, UplinkDownError
from sandbox.network import helper, messages
from sandbox.network.refusals import Refusal
from sandbox.policy import Rules

logger = logging.getLogger(__name__)
_MAX_RESTARTS_IN_A_ROW = 5
_RETRY_S = 1.0
_UPLINK_TIMEOUT_S = 15.0
_ANSWER_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class NetworkSlot:
    """A network namespace that is one run's alone. `opened` is done when the run's policy is in
    force."""

    number: int
    namespace_fd: int
    opened: Future[None]


@dataclass
class _Known:
    """What a next netd must be told of a slot."""

    namespace_fd: int
    rules: Rules | None = None


class NetworkPool:
    """Network namespaces, made ahead of use, each used once. Thread-safe.

    When netd dies, a new one takes over what is there: programs go on, with the policy that they
    had; connections that netd or the uplink carried break. `notify(kind, detail)` is told of that
    (`helper_restarted`) and of the uplink (`uplink_up`, `uplink_lost`, `uplink_failed`), from a
    thread that must not be held up.
    """

    def __init__(
        self, config: HostConfig, lock_fd: int, notify: Callable[[str, str], None]
    ) -> None:
        """Raises `UplinkDownError` when it is the uplink that does not come up, and another
        `SandboxError` when it is netd."""
        self._config = config
        self._lock_fd = lock_fd
        self._notify = notify
        self._guard = threading.Lock()
        self._closing = False
        self._next_number = 0
        self._made = 0
        self._ordered: set[int] = set()
        self._known: dict[int, _Known] = {}
        self._ready: queue.SimpleQueue[NetworkSlot] = queue.SimpleQueue()
        self._answers: dict[tuple[str, int], Future[Any]] = {}
        self._silent_deaths = 0
        self._uplink: Future[None] = Future()
        self._helper = helper.start(config, lock_fd, None)
        self._watcher = threading.Thread(target=self._watch, name="sandbox-netd", daemon=True)
        self._watcher.start()
        self.refill()
        try:
            self._await_uplink()
        except BaseException:
            self.close()
            raise

    @property
    def netd_pid(self) -> int:
        return self._helper.process.pid

    @property
    def user_namespace_fd(self) -> int | None:
        return self._helper.user_fd

    def take(self, rules: Rules) -> NetworkSlot:
        """A ready namespace, its policy on the way: wait for `opened` before the program begins.

        Raises `SandboxError` when netd makes none within the start time-out, not even for another.
        """
        if self._ready.empty():
            self.refill()
        slot = self._next_ready()
        if rules.mode == "none":  # as it was made
            slot.opened.set_result(None)
            return slot
        with self._guard:
            self._known[slot.number].rules = rules
            self._answers["open", slot.number] = slot.opened
            self._tell("open", slot.number, rules=rules.to_fields())
        return slot

    def _next_ready(self) -> NetworkSlot:
        """Of hundreds that start at once most wait long: no fault as long as some become ready."""
        while True:
            made = self._made
            try:
                return self._ready.get(timeout=self._config.start_timeout_s)
            except queue.Empty:
                if self._made == made:
                    break
        raise SandboxError(
            "no network namespace became ready in time; the runner's log says what its helper"
            " (netd) met, restart the runner if that has ended for good"
        )

    def refill(self) -> None:
        """Have as many slots made as are missing; they come by themselves. For after a start: what
        makes them would compete with it for the processor."""
        with self._guard:
            missing = self._config.ready_slots - self._ready.qsize() - len(self._ordered)
            for _ in range(missing):
                self._next_number += 1
                self._ordered.add(self._next_number)
                self._tell("make", self._next_number)

    def wait_opened(self, slot: NetworkSlot) -> None:
        """Raises `SandboxError` when the policy could not be put in force."""
        try:
            slot.opened.result(self._config.start_timeout_s)
        except FutureTimeoutError:
            raise SandboxError("the network helper (netd) did not answer in time") from None

    def refusals(self, slot: NetworkSlot) -> list[Refusal]:
        """What the run was refused since the last call. Raises `SandboxError`."""
        answer: Future[list[Refusal]] = Future()
        with self._guard:
            if slot.number not in self._known:
                return []
            self._answers["refusals", slot.number] = answer
            self._tell("refusals", slot.number)
        try:
            return answer.result(_ANSWER_TIMEOUT_S)
        except FutureTimeoutError:
            raise SandboxError("the network helper (netd) did not answer in time") from None

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
            with contextlib.suppress(OSError):
                self._helper.channel.shutdown(socket.SHUT_RDWR)
        self._watcher.join()
        process = self._helper.process
        try:
            process.wait(self._config.kill_timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._helper.channel.close()
        for known in self._known.values():
            os.close(known.namespace_fd)
        self._known.clear()
        self._helper.close_namespaces()

    def _await_uplink(self) -> None:
        if self._config.uplink == "none":
            return
        try:
            self._uplink.result(_UPLINK_TIMEOUT_S)
        except FutureTimeoutError:
            raise UplinkDownError("the uplink did not come up in time") from None

    def _tell(self, op: str, slot: int, **fields: Any) -> None:
        # To a netd that just died: the watcher notices as well and repeats what still matters.
        with contextlib.suppress(OSError):
            messages.send(self._helper.channel, op, slot=slot, **fields)

    def _watch(self) -> None:
        while True:
            message = messages.receive(self._helper.channel)
            if message is not None:
                self._silent_deaths = 0
                self._heard(message)
            elif not self._revive():
                self._give_up()
                return

    def _heard(self, message: messages.Message) -> None:
        fields = message.fields
        if message.op == "ready":
            slot = NetworkSlot(int(fields["slot"]), message.fds[0], Future())
            with self._guard:
                self._known[slot.number] = _Known(slot.namespace_fd)
                self._ordered.discard(slot.number)
                self._made += 1
                self._ready.put(slot)
        elif message.op == "uplink":
            self._heard_of_uplink(fields["state"], fields["detail"])
        elif message.op == "opened":
            self._resolve("open", int(fields["slot"]), None)
        elif message.op == "refused":
            found = [Refusal(**refusal) for refusal in fields["refusals"]]
            self._resolve("refusals", int(fields["slot"]), found)
        else:
            self._heard_of_failure(message)

    def _heard_of_uplink(self, state: str, detail: str) -> None:
        if not self._uplink.done():
            if state == "up":
                self._uplink.set_result(None)
            else:
                self._uplink.set_exception(UplinkDownError(f"the uplink did not come up: {detail}"))
            return
        logger.warning("uplink_%s", state, extra={"uplink": {"state": state, "detail": detail}})
        self._notify(f"uplink_{state}", detail)

    def _heard_of_failure(self, message: messages.Message) -> None:
        fields = message.fields
        logger.error("netd_request_failed", extra={"netd": dict(fields)})
        with self._guard:
            self._ordered.discard(int(fields["slot"]))
            answer = self._answers.pop((fields["request"], int(fields["slot"])), None)
        if answer is not None:
            answer.set_exception(SandboxError(f"the network helper (netd): {fields['error']}"))
        if fields["request"] == "make":
            again = threading.Timer(_RETRY_S, self.refill)
            again.daemon = True
            again.start()

    def _resolve(self, request: str, slot: int, result: Any) -> None:
        with self._guard:
            answer = self._answers.pop((request, slot), None)
        if answer is not None:
            answer.set_result(result)

    def _give_up(self) -> None:
        """Nobody will answer any more."""
        with self._guard:
            left, self._answers = self._answers, {}
        waiting = [*left.values(), *([] if self._uplink.done() else [self._uplink])]
        for answer in waiting:
            answer.set_exception(SandboxError("the network helper (netd) has ended for good"))

    def _revive(self) -> bool:
        """A new netd for the one that died; False when the pool is closing or netd keeps dying."""
        with self._guard:
            if self._closing:
                return False
            status = self._helper.process.wait()
            self._helper.channel.close()
            self._silent_deaths += 1
            if self._silent_deaths > _MAX_RESTARTS_IN_A_ROW:
                logger.critical("netd_given_up", extra={"netd": {"exit_status": status}})
                return False
            try:
                self._helper = helper.start(self._config, self._lock_fd, self._helper)
            except SandboxError:
                logger.critical("netd_given_up", exc_info=True)
                return False
            for number, known in self._known.items():
                rules = known.rules.to_fields() if known.rules else None
                self._tell("adopt", number, rules=rules)
            for request, number in self._answers:
                if request == "refusals":
                    self._tell("refusals", number)
            self._ordered.clear()
            slots = len(self._known)
        self.refill()
        logger.warning("netd_restarted", extra={"netd": {"exit_status": status, "slots": slots}})
        self._notify("helper_restarted", f"exit status {status}")
        return True
