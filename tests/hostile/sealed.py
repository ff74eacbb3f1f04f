"""Run a program in a real sandbox and collect what came of it. For tests alone."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sandbox import (
    Host,
    HostConfig,
    Limits,
    NetworkPolicy,
    Outcome,
    Program,
    Sandbox,
    SandboxError,
    WorkspaceFile,
)
from sandbox.cgroups import mounts

DEADLINE_S = 60.0
# The first uid of the hostile programs, of a hundred that no other test run on this host uses.
HOSTILE_UID = 10_000_000 + os.getpid() % 100_000 * 100
# Generous in time, so that a busy machine does not decide a test that is not about CPU time.
LIMITS = Limits(cpu_millis=2000, memory_bytes=192 << 20, pids_max=64)
# With this in its environment a program's libc waits for an answer longer than a test does for the
# program: so a name that is refused, and not left without an answer, needs no clock to be told.
PATIENT = {"RES_OPTIONS": "timeout:60 attempts:1"}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Result:
    stdout: str
    stderr: str
    outcome: Outcome
    run_name: str

    @property
    def seen(self) -> Any:
        """The JSON of the last line that the program printed."""
        lines = self.stdout.splitlines()
        assert lines, f"the program printed nothing; stderr: {self.stderr}; {self.outcome}"
        return json.loads(lines[-1])


@dataclass
class Live:
    """A running sandbox whose streams are read along."""

    sandbox: Sandbox
    received: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        for fd in (self.sandbox.stdout_fd, self.sandbox.stderr_fd):
            self.received[fd] = b""
            self._selector.register(fd, selectors.EVENT_READ)

    @property
    def stdout(self) -> str:
        return self.received[self.sandbox.stdout_fd].decode(errors="replace")

    @property
    def stderr(self) -> str:
        return self.received[self.sandbox.stderr_fd].decode(errors="replace")

    def read_until(self, met: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        """Read until `met()` or both streams have ended; fails the test at the deadline."""
        end_s = time.monotonic() + deadline_s
        while not met() and self._selector.get_map():
            if time.monotonic() > end_s:
                self.sandbox.kill()
                self.sandbox.finish()
                raise AssertionError(f"no end in {deadline_s} s: {self.stdout} {self.stderr}")
            for key, _ in self._selector.select(timeout=0.1):
                try:
                    chunk = os.read(key.fd, 65536)
                except BlockingIOError:
                    continue  # a program may read from its own pipe
                self.received[key.fd] += chunk
                if not chunk:
                    self._selector.unregister(key.fd)

    def wait_for(self, line: str) -> None:
        """Until the program has printed `line`, and the end of the line."""
        self.read_until(lambda: f"{line}\n" in self.stdout)
        assert f"{line}\n" in self.stdout, f"ended without {line!r}: {self.stdout} {self.stderr}"

    def finish(self) -> Result:
        self.read_until(lambda: False)
        self._selector.close()
        outcome = self.sandbox.finish()
        return Result(self.stdout, self.stderr, outcome, self.sandbox.run_name)


class Box:
    """Starts programs on one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._started: list[Live] = []

    def start(
        self,
        source: str,
        *,
        env: Mapping[str, str] | None = None,
        files: Sequence[WorkspaceFile] = (),
        arguments: Sequence[str] = (),
        network: NetworkPolicy | None = None,
        **limits: int,
    ) -> Live:
        main = WorkspaceFile("main.py", textwrap.dedent(source).encode())
        program = Program(
            argv=["main.py", *arguments],
            env=env or {},
            files=[main, *files],
            limits=replace(LIMITS, **limits),
            network=network or NetworkPolicy(),
        )
        live = Live(self.host.spawn(program, f"test-{next(_numbers)}"))
        self._started.append(live)
        return live

    def run(self, source: str, **options: Any) -> Result:
        return self.start(source, **options).finish()

    def close(self) -> None:
        """Clear away what a failed test left, so that the next one finds the host as it was."""
        for live in self._started:
            live.sandbox.kill()
            with contextlib.suppress(SandboxError):
                live.sandbox.finish()


def wait_until(met: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Poll a condition of the host; fails the test when it is not met in time."""
    end_s = time.monotonic() + deadline_s
    while not met():
        assert time.monotonic() < end_s, f"not in {deadline_s} s: {what}"
        time.sleep(0.005)


def group_directories(runner: str) -> list[Path]:
    """The control groups of runs of `runner`, in every hierarchy that is mounted."""
    found = mounts.find_own()
    ours = {*found.v1.values(), *([found.v2, found.v2.parent] if found.v2 else [])}
    return [
        directory
        for own in ours
        if (own / f"sequence-{runner}").is_dir()
        for directory in (own / f"sequence-{runner}").iterdir()
        if directory.is_dir()
    ]


def processes_of_uids(first: int, last: int) -> list[int]:
    """Host processes whose uid lies in the range, but those that only wait to be reaped.

    A runner that is not root has no uids to give: then all that run sandboxed with its own.
    """
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if not entry.name.isdigit():
                continue
            lines = (entry / "status").read_text().splitlines()
            status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            uid = int(status["Uid"].split()[0])
            sandboxed = len(status["NSpid"].split()) > 1
            its = first <= uid <= last if os.geteuid() == 0 else sandboxed and uid == os.geteuid()
            found += [int(entry.name)] if its and not status["State"].startswith("Z") else []
    return found


@contextmanager
def opened_box(config: HostConfig) -> Iterator[Box]:
    """A host of its own for one test's runs."""
    host = Host.open(config)
    box = Box(host)
    yield box
    box.close()
    host.close()
