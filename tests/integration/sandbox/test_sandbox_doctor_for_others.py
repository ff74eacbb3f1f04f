"""The doctor as root starts it for others: an ordinary user, a network of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from doctor_reports import findings, run

import sandbox
from sandbox.cgroups import mounts

UID = 414_000


@pytest.fixture
def package() -> Iterator[Path]:
    """The package where every user may read it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copytree(Path(sandbox.__file__).parent, folder / "sandbox")
    yield folder
    shutil.rmtree(folder)


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
    closed = f"uid {UID} cannot open /dev/net/tun (Permission denied); the user uplink needs it"
    said = findings(done.stdout, level)
    assert found.format(closed) in said
    if level != "ok" and uplink != "veth":
        assert "chmod 0666 /dev/net/tun" in said[found.format(closed)]["debian"]
    assert any(
        "takes the rules of the strategies' networks" in one for one in findings(done.stdout, "ok")
    )


def test_root_is_told_that_the_other_uplink_can_be_had() -> None:
    """In a network of the test's own: veth switches forwarding on for as long as it is there."""
    done = run("--json", "--uplink", "veth", before=["unshare", "--net"])
    assert done.returncode == 0, done.stdout
    assert "uplink veth: it comes up and carries packets" in findings(done.stdout, "ok")
