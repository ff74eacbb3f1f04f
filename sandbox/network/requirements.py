"""What of the host the network needs, each lack with its remedy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from sandbox.config import HostConfig
from sandbox.errors import Problem
from sandbox.network import forwarding, nft

_SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_TUN = "/dev/net/tun"


def problems(config: HostConfig) -> Iterator[Problem]:
    """Everything that is in the way of this configuration."""
    if not nft.is_available():
        yield Problem("nftables' library (libnftables.so.1) is missing", "apt-get install nftables")
    if config.uplink == "user":
        yield from _user()
    elif config.uplink == "veth":
        yield from _veth()


def slirp4netns() -> str:
    """Path of the tool, or its name when it is missing."""
    return shutil.which("slirp4netns", path=_SEARCH_PATH) or "slirp4netns"


def _user() -> Iterator[Problem]:
    if shutil.which("slirp4netns", path=_SEARCH_PATH) is None:
        yield Problem("missing: slirp4netns", "apt-get install slirp4netns")
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        yield Problem(
            f"{_TUN} does not exist; the user-mode uplink needs it",
            f"modprobe tun (in a container: run it with --device {_TUN})",
        )
    except OSError as error:
        yield Problem(
            f"uid {os.getuid()} cannot open {_TUN} ({error.strerror}); the user-mode uplink does",
            f"chmod 0666 {_TUN}, as Debian and Ubuntu have it (it gives no power by itself)",
        )


def _veth() -> Iterator[Problem]:
    if os.geteuid() != 0:
        yield Problem("the veth uplink is for a runner that is root", "use the uplink 'user'")
    elif not forwarding.is_possible():
        yield Problem(
            "/proc/sys/net/ipv4 cannot be written; the veth uplink switches forwarding on there",
            "use the uplink 'user', or run the container with --privileged",
        )
