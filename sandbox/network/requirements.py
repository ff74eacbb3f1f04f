"""What of the host the network needs, each lack with its remedy, and the uplink that follows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sandbox.config import HostConfig
from sandbox.errors import Problem
from sandbox.network import forwarding

_SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_TUN = "/dev/net/tun"
_TUN_RULE = (
    """echo 'KERNEL=="tun", MODE="0666"' > /etc/udev/rules.d/60-sequence-tun.rules"""
    " && udevadm control --reload"
)


@dataclass(frozen=True)
class Choice:
    """`config`: the uplink that the host can have, never `auto`. `obstacles`: why `auto` became
    `none`; empty in every other case. `may_do_without`: it was `auto`."""

    config: HostConfig
    obstacles: tuple[Problem, ...] = ()
    may_do_without: bool = False

    def without_uplink(self, problem: Problem) -> Choice:
        """The same when the uplink that was chosen does not come up."""
        return Choice(replace(self.config, uplink="none"), (*self.obstacles, problem), True)


def choose(config: HostConfig) -> Choice:
    """What `auto` means on this host: `user` where that can be had, else `none`."""
    if config.uplink != "auto":
        return Choice(config)
    obstacles = tuple(user_problems())
    return Choice(replace(config, uplink="none" if obstacles else "user"), obstacles, True)


def slirp4netns() -> str:
    """Path of the tool, or its name when it is missing."""
    return shutil.which("slirp4netns", path=_SEARCH_PATH) or "slirp4netns"


def user_problems() -> Iterator[Problem]:
    """What is in the way of the user-mode uplink."""
    if shutil.which("slirp4netns", path=_SEARCH_PATH) is None:
        yield Problem("missing: slirp4netns", "apt-get install slirp4netns")
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        yield Problem(
            f"{_TUN} does not exist; the user uplink needs it",
            "modprobe tun && echo tun > /etc/modules-load.d/tun.conf"
            f" (in a container: run it with --device {_TUN})",
        )
    except OSError as error:
        yield Problem(
            f"uid {os.getuid()} cannot open {_TUN} ({error.strerror}); the user uplink needs it",
            f"chmod 0666 {_TUN}, as Debian and Ubuntu have it: it gives no power by itself"
            f" (to keep it: {_TUN_RULE}; in a container: run it with --device {_TUN})",
        )


def veth_problems() -> Iterator[Problem]:
    """What is in the way of the uplink by the host's own routing."""
    if os.geteuid() != 0:
        yield Problem("the veth uplink is for a runner that is root", "set RUNNER_UPLINK=user")
    elif not forwarding.is_possible():
        yield Problem(
            "/proc/sys/net/ipv4 cannot be written; the veth uplink switches forwarding on there",
            "set RUNNER_UPLINK=user, or run the container with --privileged",
        )
