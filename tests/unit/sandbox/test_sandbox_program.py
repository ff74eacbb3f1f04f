"""What a program may be, and what its outcome says."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from sandbox import ApiRelay, HostConfig, Limits, Program, ProgramInvalidError, Usage, WorkspaceFile
from sandbox.outcome import outcome_of

USAGE = Usage(0, 0, 0.0, 0.0, 0, 0)


def program(*paths: str, **changes: object) -> Program:
    files = [WorkspaceFile(path, b"x") for path in paths]
    return replace(Program(argv=["main.py"], files=files), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["a", "a/b/c.py", ".hidden", "a b/ü", "..a/b..", "-x"])
def test_plain_relative_paths_are_taken(path: str) -> None:
    program(path).validate()


@pytest.mark.parametrize(
    "path", ["", "/a", "../a", "a/../b", "a//b", "./a", "a/.", "a/", "a\0b", ".", ".."]
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(ProgramInvalidError, match="plain relative path"):
        program(path).validate()
    with pytest.raises(ProgramInvalidError, match="plain relative path"):
        program(directories=[path]).validate()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (program("a", "a"), "given twice"),
        (program("a", "a/b"), "both a file and a directory"),
        (program(argv=[]), "argv is empty"),
        (program(argv=["a\0b"]), "NUL byte"),
        (program(env={"A=B": "x"}), "no name of an environment variable"),
        (program(env={"A": "x\0y"}), "value of A holds a NUL"),
        (program(*(f"f{n}" for n in range(1501))), "1501 files; a run takes at most 1500"),
        (program("a", limits=Limits(workspace_bytes=4096 - 1)), "workspace_bytes is 4095"),
        (program("a", "b", limits=Limits(workspace_bytes=4096)), "need 8192 bytes"),
        (program(limits=Limits(cpu_millis=9)), "cpu_millis is 9; give at least 10"),
        (program(limits=Limits(memory_bytes=1)), "memory_bytes is 1"),
        (program(limits=Limits(open_files=1)), "open_files is 1"),
    ],
)
def test_complaints_say_what_to_do(wrong: Program, message: str) -> None:
    with pytest.raises(ProgramInvalidError, match=message):
        wrong.validate()


def test_values_never_show_in_a_representation() -> None:
    secret = program(env={"KEY": "hunter2"}, files=[WorkspaceFile("k", b"hunter2")])
    assert "hunter2" not in repr(secret)
    assert "hunter2" not in repr(secret.files[0])


def test_parents_come_before_children() -> None:
    found = program("a/b/c/x", "z/y", directories=["e/f"]).all_directories()
    assert found == ["a", "a/b", "a/b/c", "e", "e/f", "z"]


@pytest.mark.parametrize(
    ("code", "oom_kills", "died_by", "oom"),
    [
        (0, 0, None, False),
        (1, 3, None, False),  # a child was killed, the program went on
        (137, 0, signal.SIGKILL, False),
        (137, 1, signal.SIGKILL, True),
        (143, 1, signal.SIGTERM, False),
        (128, 0, None, False),
        (255, 0, None, False),
    ],
)
def test_out_of_memory_needs_both_signs(
    code: int, oom_kills: int, died_by: signal.Signals | None, oom: bool
) -> None:
    outcome = outcome_of(code, replace(USAGE, oom_kills=oom_kills))
    assert (outcome.exit_code, outcome.signal, outcome.oom) == (code, died_by, oom)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".a", "a" * 64, "a b"])
def test_names_of_runners_are_directory_names(name: str) -> None:
    with pytest.raises(ValueError, match="runner name"):
        HostConfig(name=name)


def test_counts_of_slots() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        HostConfig(name="a", api=ApiRelay("h", 1), slots=0)
