"""What an interface does with what is sent by it (ethtool(8), by its older requests)."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_ETHTOOL_SSG = 0x19
_IFREQ = struct.Struct("16sP16x")


def copy_what_is_sent(interface: str) -> None:
    """Have every packet that leaves by `interface`, of the calling thread's network namespace, be
    memory of its own and as long as it is.

    Otherwise it points to pages of its sender's, 32 KB that one byte keeps for as long as whoever
    receives it does not read it. It works by switching scatter-gather off, and segmentation by the
    interface goes with it, so a packet is at most an MTU long. Raises OSError.
    """
    wanted = array.array("I", [_ETHTOOL_SSG, 0])
    request = _IFREQ.pack(interface.encode("ascii"), wanted.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)
