"""A runner's share of a host: opened once, then it spawns sandboxes."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from sandbox import cgroups, checks, seccomp, trial
from sandbox.cgroups.warmth import Warmer
from sandbox.config import HostConfig, check_name
from sandbox.deadlines import Deadlines
from sandbox.errors import (
    NoFreeSlotError,
    NoUplinkError,
    Problem,
    SandboxError,
    SandboxUnavailableError,
    UplinkDownError,
)
from sandbox.launch import Equipment, Place, launch
from sandbox.network import requirements
from sandbox.network.events import NetworkEvent
from sandbox.network.pool import NetworkPool, NetworkSlot
from sandbox.network.requirements import Choice
from sandbox.policy import Rules
from sandbox.program import Program
from sandbox.relief import Bounds, Relief
from sandbox.running import Sandbox
from sandbox.watch import Watch

logger = logging.getLogger(__name__)
_LOCK_TIMEOUT_S = 15.0  # longer than a dead predecessor's netd needs to sweep
_LOCK_PAUSE_S = 0.05


class Host:
    """Thread-safe. Made by `Host.open`; `spawn` from the thread that will wait for the sandbox,
    because the kernel ends a sandbox with the thread that started it."""

    def __init__(
        self,
        choice: Choice,
        tree: cgroups.Tree,
        equipment: Equipment,
        on_network_event: Callable[[NetworkEvent], None] | None,
    ) -> None:
        """For `open` only."""
        config = choice.config
        self._choice = choice
        self._config = config
        self._on_network_event = on_network_event
        self._tree = tree
        self._equipment = equipment
        self._lock = threading.Lock()
        self._closed = False
        self._free = list(range(config.slots))
        self._running: dict[str, Sandbox | None] = {}
        self._rules: dict[str, Rules] = {}
        self._lock_fd = _lock(tree, config.name)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self._lock_fd)
            self.sweep()
            if left := cgroups.clear_elsewhere(tree, _LOCK_TIMEOUT_S, config.kill_timeout_s):
                logger.warning("sandboxes_swept", extra={"runs": left})
            undo.callback(_remove_if_empty, tree)
            self._deadlines = Deadlines(config.name)
            undo.callback(self._deadlines.close)
            self._network = self._open_network()
            undo.callback(self._network.close)
            self._watch = Watch(self._started)
            undo.callback(self._watch.close)
            self._relief = Relief(self._started, Bounds.of_the_host())
            undo.callback(self._relief.close)
            self._warmer = Warmer(tree.idle_file(), lambda: self._network.netd_pid)
            undo.pop_all()

    @classmethod
    def open(
        cls,
        config: HostConfig,
        on_network_event: Callable[[NetworkEvent], None] | None = None,
    ) -> Host:
        """Check the host, clear away what a dead predecessor left, and try one sandbox.

        `on_network_event` hears what befalls the network of running programs, in a thread that it
        must not hold up.

        Raises `SandboxUnavailableError` with everything that is missing. A live runner of the same
        name is one such problem.
        """
        tools, runtime, tree = checks.require(config)
        checks.harden_this_process()
        equipment = Equipment(
            tools=tools,
            runtime=runtime,
            api=config.api,
            seccomp=seccomp.program(),
            cgroup_version=tree.version,
            start_timeout_s=config.start_timeout_s,
            kill_timeout_s=config.kill_timeout_s,
        )
        host = cls(requirements.choose(config), tree, equipment, on_network_event)
        try:
            host._try_one()
        except BaseException:
            host.close()
            raise
        return host

    @property
    def uplink(self) -> str:
        """How programs reach the internet: `user`, `veth` or `none`, never `auto`."""
        return self._config.uplink

    @property
    def uplink_obstacles(self) -> tuple[Problem, ...]:
        """What makes `auto` mean `none` here."""
        return self._choice.obstacles

    @property
    def netd_pid(self) -> int:
        """The process id of the network helper."""
        return self._network.netd_pid

    @property
    def guard_pid(self) -> int:
        """The process id of the guard, which outlives a runner that stands still."""
        return self._deadlines.guard_pid

    def extend(self, run_names: Iterable[str], until_s: float) -> None:
        """Let these runs live until this monotonic time; those without a deadline keep none."""
        self._deadlines.extend(run_names, until_s)

    def expect_spawn(self) -> None:
        """A hint that `spawn` will be called in the next quarter of a second: on an idle host it
        then takes 5 to 15 ms less. Returns at once, may be called for nothing."""
        self._warmer.expect()

    def spawn(self, program: Program, run_name: str, until_s: float | None = None) -> Sandbox:
        """Start `program` as `run_name` (unique among the running ones; names its control group).
        `until_s`: the monotonic time at which it is killed unless `extend` has moved it, by a
        process apart from this one: also when this one stands still.

        Raises `ProgramInvalidError`, `NoFreeSlotError`, `NoUplinkError`, `RunOverdueError`, or
        another `SandboxError`: a fault of ours.
        """
        self._warmer.expect()
        program.validate()
        rules = self._rules_of(program)
        check_name("run", run_name)
        index = self._reserve(run_name, rules)
        try:
            network = self._network.take(rules)
        except BaseException:
            self._unreserve(run_name, index)
            raise
        release = partial(self._release, run_name, index, network)
        try:
            if until_s is not None:
                self._deadlines.begin(run_name, until_s)
            group = self._tree.create(run_name, program.limits)
            place = Place(
                group=group,
                network_fd=network.namespace_fd,
                user_fd=self._network.user_namespace_fd,
                uid=self._config.first_uid + index if checks.is_root() else None,
                network=self._describe(program),
                network_ready=partial(self._network.wait_opened, network),
                refusals=partial(self._network.refusals, network),
                release=release,
                in_time=partial(self._deadlines.check, run_name),
                was_killed=partial(self._deadlines.was_killed, run_name),
            )
            sandbox = launch(run_name, program, self._equipment, place)
        except BaseException as error:
            # When this raises, something is left in the group: the slot stays taken.
            cgroups.clear(self._tree.group(run_name), self._config.kill_timeout_s)
            release()
            if isinstance(error, OSError):
                raise SandboxError(f"run {run_name} could not be started: {error}") from error
            raise
        finally:
            self._network.refill()
        with self._lock:
            self._running[run_name] = sandbox
        return sandbox

    def sweep(self) -> list[str]:
        """Kill and remove the runs of a dead predecessor; answers with their names."""
        with self._lock:
            swept = cgroups.sweep(self._tree, self._config.kill_timeout_s, keep=self._running)
        if swept:
            logger.warning("sandboxes_swept", extra={"runs": swept})
        return swept

    def close(self) -> None:
        """Kill what still runs, end the network helper, remove the control groups."""
        with self._lock:
            self._closed = True
        for sandbox in self._started():
            try:
                sandbox.kill()
                sandbox.finish()
            except SandboxError:
                logger.exception("sandbox_not_cleared", extra={"run": sandbox.run_name})
        self._watch.close()
        self._relief.close()
        self._warmer.close()
        self._network.close()
        self._deadlines.close()
        self._tree.remove()
        os.close(self._lock_fd)

    def _started(self) -> list[Sandbox]:
        with self._lock:
            return [sandbox for sandbox in self._running.values() if sandbox is not None]

    def _open_network(self) -> NetworkPool:
        """Where the uplink may be missing, one that does not come up costs no more than itself."""
        try:
            return NetworkPool(self._config, self._lock_fd, self._network_changed)
        except UplinkDownError as error:
            if not self._choice.may_do_without:
                raise
            remedy = "see what it says; RUNNER_UPLINK=none ends the attempts, =veth does without it"
            self._choice = self._choice.without_uplink(Problem(str(error), remedy))
            self._config = self._choice.config
            logger.warning("uplink_given_up", extra={"finding": str(error), "remedy": remedy})
            return NetworkPool(self._config, self._lock_fd, self._network_changed)

    def _lack(self) -> str:
        """Why there is no uplink, and what its operator can do about it."""
        obstacles = self._choice.obstacles
        if not obstacles:
            return (
                "this runner was configured without; its operator can set RUNNER_UPLINK=user"
                " (HostConfig.uplink), or this strategy mode = 'none'"
            )
        found = "; ".join(f"{one.what}: {one.remedy}" for one in obstacles)
        return (
            f"this runner's host gives it no uplink ({found}); its operator can mend that and"
            " restart the runner (HostConfig.uplink)"
        )

    def _rules_of(self, program: Program) -> Rules:
        rules = program.network.rules(self._config.allowed_networks)
        if rules.mode != "none" and self._config.uplink == "none":
            raise NoUplinkError(
                f"network mode {rules.mode!r} needs the internet, and {self._lack()}"
            )
        return rules

    def _describe(self, program: Program) -> dict[str, object]:
        policy = program.network
        return {
            "mode": policy.mode,
            "allow": list(policy.allow),
            "api": self._config.api is not None,
            "uplink": "none" if policy.mode == "none" else self._config.uplink,
        }

    def _network_changed(self, kind: str, detail: str) -> None:
        """netd carries what goes to the API, so its death touches every run; the uplink those that
        may use it."""
        with self._lock:
            runs = tuple(
                run_name
                for run_name, rules in self._rules.items()
                if kind == "helper_restarted" or rules.mode != "none"
            )
        if self._on_network_event is not None:
            self._on_network_event(NetworkEvent(kind, detail, runs))

    def _reserve(self, run_name: str, rules: Rules) -> int:
        with self._lock:
            if self._closed:
                raise SandboxError("this host is closed; the runner is shutting down")
            if run_name in self._running:
                raise SandboxError(f"run {run_name} is running already; give each run its own name")
            if not self._free:
                raise NoFreeSlotError(
                    f"all {self._config.slots} slots are taken; wait for a run to end"
                )
            self._running[run_name] = None
            self._rules[run_name] = rules
            # The longest unused uid: what its last holder left in the kernel is long gone.
            return self._free.pop(0)

    def _unreserve(self, run_name: str, index: int) -> None:
        with self._lock:
            del self._running[run_name]
            del self._rules[run_name]
            self._free.append(index)

    def _release(self, run_name: str, index: int, network: NetworkSlot) -> None:
        self._deadlines.forget(run_name)
        self._network.release(network)
        self._unreserve(run_name, index)

    def _try_one(self) -> None:
        """One run before the first that counts; from it comes the version of the interpreter."""
        version = trial.python_version(self.spawn, self._config.start_timeout_s)
        self._equipment = replace(self._equipment, python_version=version)


def _remove_if_empty(tree: cgroups.Tree) -> None:
    with contextlib.suppress(OSError):  # what it holds is the next start's to clear
        tree.remove()


def _lock(tree: cgroups.Tree, name: str) -> int:
    """A descriptor that holds the runner's name. netd holds it too, until it has swept.

    Raises `SandboxUnavailableError` when another runner keeps it.
    """
    deadline_s = time.monotonic() + _LOCK_TIMEOUT_S
    directory = tree.lock_directory()
    while time.monotonic() < deadline_s:
        if problems := tree.prepare():
            raise SandboxUnavailableError(problems)
        with (
            contextlib.suppress(FileNotFoundError, BlockingIOError),
            contextlib.ExitStack() as undo,
        ):
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            undo.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A runner that closes removes its directories: hold the one that is there now.
            if os.path.samestat(os.fstat(fd), directory.stat()) and not tree.prepare():
                undo.pop_all()
                return fd
        time.sleep(_LOCK_PAUSE_S)
    what = f"another runner named {name!r} is alive on this host"
    raise SandboxUnavailableError([Problem(what, "give each runner of a host its own name")])
