"""Stacks on request: what they show, and that a program does not see how they were prepared."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from sealed import Live

from sandbox import Host, Program, WorkspaceFile, with_stacks

OWN_VIEW = """
import json, os, signal, sys
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "pythonpath": os.environ.get("PYTHONPATH"),
    "main": sys.modules["__main__"].__file__, "modules": sorted(sys.modules),
    "handlers": [str(signal.getsignal(number)) for number in signal.valid_signals()],
}))
"""


def program(source: str, env: Mapping[str, str] | None = None, *files: WorkspaceFile) -> Program:
    main = WorkspaceFile("main.py", source.encode())
    return Program(argv=("main.py", "x"), env=env or {}, files=(main, *files))


def run(host: Host, made: Program) -> Live:
    live = Live(host.spawn(made, "stacks"))
    live.read_until(lambda: False)
    assert live.sandbox.finish().exit_code == 0, live.stderr
    assert live.stderr == ""
    return live


@pytest.mark.parametrize("env", [{}, {"PYTHONPATH": "/workspace:/tmp"}])
def test_a_prepared_program_sees_what_it_would_see_otherwise(
    host: Host, env: dict[str, str]
) -> None:
    plain = json.loads(run(host, program(OWN_VIEW, env)).stdout)
    prepared = json.loads(run(host, with_stacks(program(OWN_VIEW, env))).stdout)
    assert "faulthandler" in prepared.pop("modules")
    assert "faulthandler" not in plain.pop("modules")
    assert prepared == plain


def test_its_own_site_customisation_runs_as_well(host: Host) -> None:
    own = WorkspaceFile("sitecustomize.py", b"print('mine')")
    made = with_stacks(program("print('main')", {"PYTHONPATH": "/workspace"}, own))
    assert run(host, made).stdout.split() == ["mine", "main"]


def test_stacks_of_a_program_that_is_stuck_outside_of_its_interpreter(host: Host) -> None:
    """The longest match of a hostile pattern: C code that never looks at a signal's handler."""
    source = "import re; print('in', flush=True); re.match('(a*)*b', 'a' * 40)"
    live = Live(host.spawn(with_stacks(program(source)), "stuck"))
    live.read_until(lambda: live.stdout == "in\n")
    assert live.sandbox.ask_for_stacks()
    live.read_until(lambda: "in <module>" in live.stderr)
    live.sandbox.kill()
    live.sandbox.finish()
    assert not live.sandbox.ask_for_stacks()


def test_a_program_that_is_not_prepared_is_not_touched(host: Host) -> None:
    live = Live(
        host.spawn(program("import signal; print('in', flush=True); signal.pause()"), "bare")
    )
    live.read_until(lambda: live.stdout == "in\n")
    assert not live.sandbox.ask_for_stacks()
    live.sandbox.kill()
    live.sandbox.finish()
