"""The proof of the checks: one program, through all of the chain."""

from __future__ import annotations

import os
from collections.abc import Callable

from sandbox.errors import Problem, SandboxError, SandboxUnavailableError
from sandbox.program import Program
from sandbox.running import Sandbox
from sandbox.status import wait_readable

_PROGRAM = Program(argv=["-c", "import sys; print(sys.version.split()[0])"])
_REMEDY = (
    "the message names the step; in a container it needs --privileged, and a root file system a"
    " python3 for this machine with all of its shared libraries"
)


def python_version(spawn: Callable[[Program, str], Sandbox], timeout_s: float) -> str:
    """The version that a sandboxed Python says it has, as `3.11.2`.

    Raises `SandboxUnavailableError` when no program runs.
    """
    try:
        sandbox = spawn(_PROGRAM, "trial")
        if not wait_readable(sandbox.exit_fd, timeout_s):
            sandbox.kill()
        said, complained = _all_of(sandbox.stdout_fd), _all_of(sandbox.stderr_fd)
        outcome = sandbox.finish()
    except SandboxError as error:
        what = f"a trial run failed: {error}"
    else:
        if outcome.exit_code == 0 and said:
            return said
        what = f"a trial run ended with exit code {outcome.exit_code}: {complained or 'no message'}"
    raise SandboxUnavailableError([Problem(what, _REMEDY)])


def _all_of(fd: int) -> str:
    """What a program that has ended had written; little enough for its pipe."""
    try:
        return os.read(fd, 4096).decode(errors="replace").strip()
    except BlockingIOError:
        return ""
