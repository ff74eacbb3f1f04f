"""The doctor on this host, and on the same host made unfit in ways that need no reboot."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from doctor_reports import findings, run
from sealed import group_directories
from support.groups import control_groups

import sandbox


def test_a_fit_host_is_told_so_in_lines() -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    *lines, empty, verdict = done.stdout.splitlines()
    assert (empty, verdict) == ("", "a runner can start here")
    assert all(line.startswith(("ok ", "warn ", "       ")) for line in lines)
    assert any(line.startswith("ok   the trial run was sealed off: ") for line in lines)
    if os.geteuid() == 0:  # as another user it depends on who may open /dev/net/tun
        assert "ok   uplink user: it comes up and carries packets" in lines


def test_it_leaves_nothing() -> None:
    name = f"doctor-leaves-{os.getpid()}"
    assert run("--name", name).returncode == 0
    assert group_directories(name) == []
    assert control_groups(f"sequence-{name}") == []


def test_a_name_that_a_live_runner_has_is_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.host._LOCK_TIMEOUT_S", 0.2)
    config = sandbox.HostConfig(
        name=f"doctor-held-{os.getpid()}", slots=1, ready_slots=1, first_uid=371_000
    )
    host = sandbox.Host.open(config)
    try:
        from sandbox.doctor import diagnose

        found = diagnose(config)
    finally:
        host.close()
    assert [finding.what for finding in found if finding.level == "FAIL"] == [
        f"another runner named {config.name!r} is alive on this host"
    ]


def test_a_start_that_is_refused_leaves_no_group_and_takes_none_away(tmp_path: Path) -> None:
    """A live runner's group is as empty between two runs, and it holds the name."""
    config = sandbox.HostConfig(
        name=f"refused-{os.getpid()}", slots=1, ready_slots=1, first_uid=372_000
    )
    unfit = replace(config, rootfs=tmp_path / "missing")
    with pytest.raises(sandbox.SandboxUnavailableError):
        sandbox.Host.open(unfit)
    assert control_groups(f"sequence-{config.name}") == []
    host = sandbox.Host.open(config)
    try:
        with pytest.raises(sandbox.SandboxUnavailableError):
            sandbox.Host.open(unfit)
        assert control_groups(f"sequence-{config.name}") != []
    finally:
        host.close()


def test_no_user_namespaces(tmp_path: Path) -> None:
    """In a user namespace of the test's own, whose limit binds only what is below it."""
    script = tmp_path / "without"
    script.write_text('#!/bin/sh\necho 0 >/proc/sys/user/max_user_namespaces\nexec "$@"\n')
    script.chmod(0o755)
    done = run("--json", before=["unshare", "--user", "--map-root-user", str(script)])
    assert done.returncode == 1
    failed = findings(done.stdout, "FAIL")
    remedy = "sysctl -w user.max_user_namespaces=15000 (to keep it: a file in /etc/sysctl.d)"
    refused = [what for what in failed if what.startswith("bubblewrap cannot make namespaces")]
    assert {failed[what]["debian"] for what in refused} == {remedy}
    assert "this root is that of a container without user ids 200000..200063" in failed
