"""Findings read as lines and as problems; settings are explained with the command that cures."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import HostConfig, SandboxUnavailableError, checks
from sandbox.checks import namespaces, network, tools, user_ids
from sandbox.findings import Level, Remedy, fail, failed, ok, warn

BWRAP = "/usr/bin/bwrap"
APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"


def test_a_finding_is_a_line_and_its_remedy() -> None:
    assert str(ok("fine")) == "ok   fine"
    assert str(warn("slow", "do this")) == "warn slow\n       remedy: do this"
    assert str(fail("broken", "one\ntwo", "three")) == (
        "FAIL broken\n       remedy (Debian 12): one\n           two\n"
        "       remedy (Ubuntu 24.04): three"
    )


def test_a_finding_is_a_problem_and_back() -> None:
    problem = fail("broken", "cure").problem()
    assert (problem.what, problem.remedy) == ("broken", "cure")
    assert failed(problem) == fail("broken", "cure")
    both = fail("broken", "one", "two").problem()
    assert both.remedy == "Debian 12: one\nUbuntu 24.04: two"


def test_every_setting_that_explains_a_refusal_is_named() -> None:
    settings = {
        "kernel.unprivileged_userns_clone": 0,
        "user.max_user_namespaces": 0,
        "user.max_net_namespaces": 100,
        APPARMOR: 0,
    }
    assert namespaces.causes(settings, BWRAP) == Remedy(
        "sysctl -w kernel.unprivileged_userns_clone=1 (to keep it: a file in /etc/sysctl.d)\n"
        "sysctl -w user.max_user_namespaces=15000 (to keep it: a file in /etc/sysctl.d)"
    )


def test_apparmor_has_a_remedy_of_its_own_on_ubuntu() -> None:
    remedy = namespaces.causes({APPARMOR: 1}, BWRAP)
    assert remedy.debian == f"sysctl -w {APPARMOR}=0"
    assert remedy.ubuntu is not None
    first, second = remedy.ubuntu.splitlines()
    assert first == (
        "printf '%s\\n' 'abi <abi/4.0>,' 'include <tunables/global>'"
        " 'profile bwrap /usr/bin/bwrap flags=(unconfined) {' '  userns,' '}'"
        " > /etc/apparmor.d/bwrap && apparmor_parser -r /etc/apparmor.d/bwrap"
    )
    assert "bwrap-userns-restrict" in second
    python = namespaces.causes({APPARMOR: 1}, "/usr/bin/python3.12").ubuntu
    assert python is not None
    assert "profile sequence-runner /usr/bin/python3.12 " in python


def test_a_refusal_that_no_setting_explains_points_at_the_container() -> None:
    assert "docker run --privileged" in namespaces.causes({}, BWRAP).debian


def test_all_missing_tools_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_SEARCH_PATH", "/nonexistent")
    with pytest.raises(SandboxUnavailableError) as caught:
        checks.require(HostConfig(name="nowhere"))
    told = {problem.what: problem.remedy for problem in caught.value.problems}
    assert told == {
        "missing: bwrap": "apt-get install bubblewrap",
        "missing: nsenter": "apt-get install util-linux",
        "missing: sh": "apt-get install dash",
    }


def test_an_old_bubblewrap_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho bubblewrap 0.4.1\n")
    old.chmod(0o755)
    monkeypatch.setattr(tools, "_SEARCH_PATH", f"{tmp_path}:{tools._SEARCH_PATH}")
    found = [finding for finding in tools.check(HostConfig(name="x")) if finding.level != "ok"]
    assert [finding.level for finding in found] == [Level.FAIL]
    assert "bubblewrap 0.8 is needed" in found[0].what
    assert "says bubblewrap 0.4.1" in found[0].what


@pytest.mark.parametrize(("uplink", "level"), [("user", Level.FAIL), ("auto", Level.WARN)])
def test_an_old_slirp4netns_is_in_the_way_of_who_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uplink: str, level: Level
) -> None:
    old = tmp_path / "slirp4netns"
    old.write_text("#!/bin/sh\necho slirp4netns version 0.3.1\n")
    old.chmod(0o755)
    monkeypatch.setattr(tools, "_SEARCH_PATH", f"{tmp_path}:{tools._SEARCH_PATH}")
    monkeypatch.setattr(network.requirements, "user_problems", lambda: iter(()))
    (found,) = [
        finding
        for finding in network.check(HostConfig(name="x", uplink=uplink))
        if finding.level != Level.OK
    ]
    assert found.level == level
    assert "slirp4netns 1.0 is needed" in found.what
    assert found.remedy is not None
    assert found.remedy.ubuntu is not None


def test_subordinate_ids_that_meet_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "subuid"
    table.write_text("anna:100000:65536\nben:165536:65536\nodd line\ncarl:x:y\n")
    monkeypatch.setattr(user_ids, "_SUBORDINATE", table)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    (found,) = user_ids.check(HostConfig(name="x", first_uid=200_000, slots=10))
    assert found == warn(
        "user ids 200000..200009 of the runs are subordinate ids of ben",
        "give the runner another range (RUNNER_FIRST_UID; HostConfig.first_uid), such as 300000",
    )
    (found,) = user_ids.check(HostConfig(name="x", first_uid=300_000, slots=10))
    assert found.level == Level.OK


def test_accounts_in_the_range_keep_a_runner_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    found = list(user_ids.check(HostConfig(name="x", first_uid=65_500, slots=64)))
    assert found[0].level == Level.FAIL
    assert found[0].what.endswith("are those of accounts: nobody")
