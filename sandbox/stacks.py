"""Where a program hangs: the stacks of its Python threads, written to its stderr on request.

A few lines run before the program's own and register the standard library's faulthandler for a
signal. It answers from C, so a program that never comes back to its interpreter answers as well.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path, PurePosixPath

from sandbox import proc_fields
from sandbox.program import Program, WorkspaceFile

SIGNAL = 62
"""A real-time signal: programs leave these alone, and one that takes it over has it."""

_FILE = ".sequence/stacks/sitecustomize.py"
_FOLDER = f"/workspace/{PurePosixPath(_FILE).parent}"
# The interpreter imports the first `sitecustomize` on its path. Ours then removes its own traces,
# so that the program and its children have the path that they would have had, and hands over.
_SOURCE = f"""\
import faulthandler, os, sys
faulthandler.register({SIGNAL}, 2)
sys.path.remove({_FOLDER!r})
own, _, rest = os.environ["PYTHONPATH"].partition(":")
if rest:
    os.environ["PYTHONPATH"] = rest
else:
    del os.environ["PYTHONPATH"]
del sys.modules["sitecustomize"]
import sitecustomize
"""


def prepared(program: Program) -> Program:
    """The same program, which answers to `ask`; its own `sitecustomize`, if any, runs as well."""
    path = ":".join(filter(None, (_FOLDER, program.env.get("PYTHONPATH"))))
    files = [file for file in program.files if file.path != _FILE]
    return replace(
        program,
        env={**program.env, "PYTHONPATH": path},
        files=[*files, WorkspaceFile(_FILE, _SOURCE.encode())],
    )


def ask(program_fd: int) -> bool:
    """Make the process of this pidfd write its stacks; False when it is not prepared for that.

    The signal would end a process that has no handler, so it is sent only to one that does.
    """
    try:
        if not _catches(_pid_of(program_fd)):
            return False
        signal.pidfd_send_signal(program_fd, SIGNAL)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def _pid_of(pidfd: int) -> int:
    return int(proc_fields.read(Path(f"/proc/self/fdinfo/{pidfd}"), "Pid"))


def _catches(pid: int) -> bool:
    caught = int(proc_fields.read(Path(f"/proc/{pid}/status"), "SigCgt"), 16)
    return bool(caught >> (SIGNAL - 1) & 1)
