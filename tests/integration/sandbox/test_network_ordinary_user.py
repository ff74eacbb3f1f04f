"""The internet for the programs of a runner that is not root."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from network_world import GATEWAY, HOST_PUBLIC, PRIVATE, SERVICE_PORT, WEB, World, inside
from ordinary import delegated

import sandbox

UID = 412_346
_numbers = itertools.count(1)
RUNNER = f"""
import glob, os, resource, signal, sys, threading
sys.path.insert(0, sys.argv[2])
from sandbox import (
    Host, HostConfig, NetworkPolicy, NoUplinkError, Program, SandboxUnavailableError
)
back, lost = threading.Event(), []
def heard(event):
    if event.kind == "uplink_up":
        back.set()
    elif event.kind == "uplink_lost":
        lost.append(event.detail)
try:
    host = Host.open(HostConfig(name=sys.argv[1], ready_slots=1, uplink=sys.argv[3],
                                resolvers=("{GATEWAY}",)),
                     heard)
except SandboxUnavailableError as error:
    sys.exit(str(error))
program = Program(network=NetworkPolicy("allow", ["web.example:443"]), argv=["-c", '''
import socket
def tried(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
        return 0
    except OSError as error:
        return error.errno
print(tried("web.example", 443), tried("web.example", 80), tried("{PRIVATE}", 80),
      tried("{HOST_PUBLIC}", {SERVICE_PORT}), tried("evil.example", 443))
''' ])
def run(name):
    box = host.spawn(program, name)
    os.set_blocking(box.stdout_fd, True)
    os.set_blocking(box.stderr_fd, True)
    sys.stderr.write(os.read(box.stderr_fd, 65536).decode())
    said = b"".join(iter(lambda: os.read(box.stdout_fd, 65536), b"")).decode().strip()
    print(said, box.finish().exit_code, len(box.take_refusals()))
if host.uplink == "none":
    try:
        run("first")
    except NoUplinkError as error:
        print(error)
    host.close()
    sys.exit()
run("first")
os.kill(host.netd_pid, signal.SIGKILL)
assert back.wait(20), "no uplink after netd's death"
run("second")
# What it watches of slirp4netns is another user namespace's, but this user's.
back.clear()
for command in glob.glob("/proc/[0-9]*/cmdline"):
    if open(command).read().startswith("/usr/bin/slirp4netns"):
        pid = int(command.split("/")[2])
        if int(open(f"/proc/{{pid}}/stat").read().rsplit(")", 1)[1].split()[1]) == host.netd_pid:
            _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (8, most))
assert back.wait(30), "not remade"
print(*lost)
run("third")
host.close()
"""


@pytest.fixture
def package() -> Iterator[Path]:
    """The package where every user may read it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copytree(Path(sandbox.__file__).parent, folder / "sandbox")
    yield folder
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Place:
    """`name`: of the runner whose groups are there. `group`: the one to start it in, None: any."""

    name: str
    group: Path | None


@pytest.fixture
def place() -> Iterator[Place]:
    name = f"egress-user-{os.getpid()}-{next(_numbers)}"
    with delegated(name, UID) as group:
        yield Place(name, group)


def run_as_user(
    world: World, place: Place, package: Path, tun_mode: str, uplink: str
) -> subprocess.CompletedProcess[str]:
    """With a /dev/net/tun of its own: the machine's may be closed to ordinary users."""
    join = "" if place.group is None else f"echo $$ >{place.group}/cgroup.procs"
    script = f"""
mknod {package}/tun c 10 200 && chmod {tun_mode} {package}/tun
mount --bind {package}/tun /dev/net/tun
{join}
exec setpriv --reuid {UID} --regid {UID} --clear-groups --inh-caps=-all --bounding-set=-all \
    /usr/bin/python3 -c "$1" {place.name} {package} {uplink}
"""
    with inside(world.host):
        return subprocess.run(
            ["unshare", "--mount", "sh", "-ec", script, "sh", RUNNER],
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.mark.parametrize("uplink", ["user", "auto"])
def test_an_ordinary_user_has_the_same(
    world: World, place: Place, package: Path, uplink: str
) -> None:
    world.zone.clear()
    world.zone["web.example"] = lambda: [WEB]
    run = run_as_user(world, place, package, "0666", uplink)
    assert run.returncode == 0, run.stderr
    # Refused: three addresses and one name; again after the death of netd.
    first, second, lost, third = run.stdout.splitlines()
    assert (first, second, third) == ("0 111 111 111 -2 0 4",) * 3
    assert "of 8 descriptors" in lost


def test_an_ordinary_user_is_told_what_is_missing(
    world: World, place: Place, package: Path
) -> None:
    run = run_as_user(world, place, package, "0600", "user")
    assert run.returncode == 1
    assert f"uid {UID} cannot open /dev/net/tun" in run.stderr
    assert "chmod 0666 /dev/net/tun" in run.stderr


def test_what_is_missing_costs_no_more_than_the_internet(
    world: World, place: Place, package: Path
) -> None:
    """With `auto` the runner starts, and who asks for the internet is told the remedy."""
    run = run_as_user(world, place, package, "0600", "auto")
    assert run.returncode == 0, run.stderr
    assert "network mode 'allow' needs the internet" in run.stdout
    assert f"uid {UID} cannot open /dev/net/tun" in run.stdout
    assert "chmod 0666 /dev/net/tun" in run.stdout
