"""What an interface leaves to whoever receives (`ethtool -K`), by the requests for that."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

# Packets that point to pages of their sender's: 32 KB that one byte keeps for as long as whoever
# receives it does not read it. Switched off, TCP's segmentation by the interface goes with it.
_POINTS_TO_PAGES = b"tx-scatter-gather"
# Sixty-four datagrams that go as one, past whatever counts them.
_DATAGRAMS_IN_ONE = b"tx-udp-segmentation"

_SIOCETHTOOL = 0x8946
_ETHTOOL_GSTRINGS, _ETHTOOL_GSSET_INFO, _ETHTOOL_SFEATURES = 0x1B, 0x37, 0x3B
_SS_FEATURES = 4
_NAME_BYTES = 32
_IFREQ = struct.Struct("16sP16x")


def send_what_it_looks_like(interface: str) -> None:
    """Have each packet that leaves by `interface`, of the calling thread's network namespace, be
    one, and memory of its own as long as it is. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        names = _features(control, interface)
        valid = array.array("I", [0] * (2 * -(-len(names) // 32)))
        for name in (_POINTS_TO_PAGES, _DATAGRAMS_IN_ONE):
            if name in names:  # newer than some kernels
                word, bit = divmod(names.index(name), 32)
                valid[2 * word] |= 1 << bit  # and none of these is requested
        _request(control, interface, [_ETHTOOL_SFEATURES, len(valid) // 2, *valid])


def _features(control: socket.socket, interface: str) -> list[bytes]:
    """Their names, in the kernel's order."""
    (*_, count) = _request(control, interface, [_ETHTOOL_GSSET_INFO, 0, 1 << _SS_FEATURES, 0, 0])
    room = [0] * (count * _NAME_BYTES // 4)
    found = _request(control, interface, [_ETHTOOL_GSTRINGS, _SS_FEATURES, count, *room])
    names = found[3:].tobytes()
    at = range(0, len(names), _NAME_BYTES)
    return [names[start : start + _NAME_BYTES].rstrip(b"\0") for start in at]


def _request(control: socket.socket, interface: str, words: list[int]) -> array.array[int]:
    """What the kernel answers in the place of `words`."""
    buffer = array.array("I", words)
    fcntl.ioctl(
        control, _SIOCETHTOOL, _IFREQ.pack(interface.encode("ascii"), buffer.buffer_info()[0])
    )
    return buffer
