"""The doctor on this host, and on the same host made unfit in ways that need no reboot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sealed import group_directories

import sandbox
from sandbox.cgroups import mounts

ROOT = Path(__file__).resolve().parents[3]
UID = 414_000


@pytest.fixture
def package() -> Iterator[Path]:
    """The package where every user may read it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copytree(Path(sandbox.__file__).parent, folder / "sandbox")
    yield folder
    shutil.rmtree(folder)


def run(
    *arguments: str, before: Sequence[str] = (), cwd: Path = ROOT, **options: Any
) -> subprocess.CompletedProcess[str]:
    python = "/usr/bin/python3" if options else sys.executable
    return subprocess.run(
        [*before, python, "-B", "-m", "sandbox.doctor", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def findings(text: str, level: str) -> Mapping[str, Any]:
    """What was found on this level, with its remedies."""
    report = json.loads(text)
    assert report["fit"] == all(entry["level"] != "FAIL" for entry in report["findings"])
    return {
        entry["what"]: entry["remedy"] for entry in report["findings"] if entry["level"] == level
    }


def test_a_fit_host_is_told_so_in_lines() -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    *lines, empty, verdict = done.stdout.splitlines()
    assert (empty, verdict) == ("", "a runner can start here")
    assert all(line.startswith(("ok ", "warn ", "       ")) for line in lines)
    assert any(line.startswith("ok   the trial run was sealed off: ") for line in lines)


def test_it_leaves_nothing() -> None:
    name = f"doctor-leaves-{os.getpid()}"
    assert run("--name", name).returncode == 0
    assert group_directories(name) == []
    assert not list(Path("/sys/fs/cgroup").glob(f"*/sequence-{name}"))


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


def test_an_ordinary_user_without_delegation(package: Path) -> None:
    done = run("--json", cwd=package, user=UID, group=UID, extra_groups=[], env={})
    assert done.returncode == 1
    failed = findings(done.stdout, "FAIL")
    (denied,) = failed
    is_v1 = "memory" in mounts.find_own().v1
    cannot = "may not make control groups (v1)" if is_v1 else "cannot use control groups (v2)"
    assert denied.startswith(f"uid {UID} {cannot} in ")
    remedy = failed[denied]["debian"]
    if is_v1:
        assert f"chown -R {UID}" in remedy
        assert "sequence-doctor" not in remedy
        assert remedy.endswith("(for RUNNER_NAME=runner; look again with --name runner)")
    else:
        assert "Delegate=yes" in remedy
    shared = "strategies share the runner's own user id, and with it the kernel's per-user quotas"
    assert shared in findings(done.stdout, "warn")


@pytest.mark.parametrize(
    ("uplink", "level", "found"),
    [
        ("auto", "warn", "no internet for strategies: {}"),
        ("user", "FAIL", "{}"),
        ("veth", "FAIL", "the veth uplink is for a runner that is root"),
        ("none", "ok", "uplink none: strategies reach the platform's API alone, as configured"),
    ],
)
def test_the_network_is_in_the_way_only_where_it_was_asked_for(
    package: Path, tmp_path: Path, uplink: str, level: str, found: str
) -> None:
    """As an ordinary user, with a /dev/net/tun that only root may open."""
    tun = tmp_path / "tun"
    script = (
        f"mknod {tun} c 10 200 && chmod 0600 {tun} && mount --bind {tun} /dev/net/tun"
        f' && exec setpriv --reuid {UID} --regid {UID} --clear-groups --inh-caps=-all "$@"'
    )
    done = run(
        *("--json", "--uplink", uplink),
        before=["unshare", "--mount", "sh", "-ec", script, "sh", "/usr/bin/env"],
        cwd=package,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    closed = (
        f"uid {UID} cannot open /dev/net/tun (Permission denied); the user-mode uplink needs it"
    )
    said = findings(done.stdout, level)
    assert found.format(closed) in said
    if level != "ok" and uplink != "veth":
        assert "chmod 0666 /dev/net/tun" in said[found.format(closed)]["debian"]
    assert any(
        "takes the rules of the strategies' networks" in one for one in findings(done.stdout, "ok")
    )


def test_root_is_told_that_each_uplink_can_be_had() -> None:
    """In a network of the test's own: veth switches forwarding on for as long as it is there."""
    for uplink in ("user", "veth"):
        done = run("--json", "--uplink", uplink, before=["unshare", "--net"])
        assert done.returncode == 0, done.stdout
        assert f"uplink {uplink}: it comes up and carries packets" in findings(done.stdout, "ok")
