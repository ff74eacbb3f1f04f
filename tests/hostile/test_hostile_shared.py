"""What the kernel has once for the whole host, or keeps for a socket without counting it, and how
little of that a program gets: from a fourth look from the outside."""

from __future__ import annotations

import errno
from pathlib import Path

from attempts import PRELUDE, TCP_PAGES, attempt
from ordinary import AnyBox
from sealed import Box

MEMORY_BYTES = 48 << 20
PAGE_BYTES = 32 << 10  # of the allocator that TCP takes its fragments from


def neighbours() -> int:
    """In the table of the host, which all network namespaces share."""
    lines = Path("/proc/net/stat/arp_cache").read_text(encoding="ascii").splitlines()
    return int(lines[1].split()[0], 16)


def test_the_table_of_neighbours(any_box: AnyBox) -> None:
    """1,024 addresses filled it: no new neighbour of the host could be reached, for 17 s."""
    before = neighbours()
    result = attempt(
        any_box,
        """
seen = set()
for number in range(300):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setblocking(False)
        s.setsockopt(socket.SOL_SOCKET, 25, b"eth0\\0")  # SO_BINDTODEVICE
        at = f"100.99.{number >> 8}.{number & 255}", 9
        seen.add(tried(lambda: s.sendto(b"x", socket.MSG_DONTROUTE, at)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, 5, 1)  # SO_DONTROUTE
        seen.add(tried(lambda: s.sendto(b"x", at)))
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    at = "fe80::99", 9, 0, 2
    six = tried(lambda: s.sendto(b"x", at))
say([sorted(seen), six])
""",
    )
    seen, six = result.seen
    assert 0 not in seen
    assert six != 0
    assert neighbours() - before < 50


def test_files_about_the_hosts_file_systems(any_box: AnyBox) -> None:
    """One of them walked all inodes of the host's disk under a lock, 50 ms for each time."""
    result = attempt(
        any_box, 'say([os.listdir("/proc/fs"), tried(lambda: os.mkdir("/proc/fs/x"))])'
    )
    assert result.seen == [[], errno.EROFS]


def test_requests_about_the_hosts_disk(any_box: AnyBox) -> None:
    """The map of what is where on it, its name, its UUID: by way of the shared runtime."""
    result = attempt(
        any_box,
        """
import fcntl
with open("/usr/bin/python3", "rb") as file:
    requests = (0xC0C0583B, 0x8008662C, 0x80811501, 0x6612, 0x80086601, 0x1260)
    told = [tried(lambda: fcntl.ioctl(file, request, bytes(1000))) for request in requests]
left, right = socket.socketpair()
left.send(b"four")
waiting = int.from_bytes(fcntl.ioctl(right, 0x541B, bytes(4)), "little")
left.setblocking(False)
say([sorted(set(told)), waiting, os.isatty(0)])
""",
    )
    assert result.seen == [[errno.ENOTTY], 4, False]


def test_groups_of_bound_sockets(any_box: AnyBox) -> None:
    """SO_REUSEPORT is 2 KB for each socket. Libraries that ask for it go on without."""
    result = attempt(
        any_box,
        """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
say([tried(lambda: s.setsockopt(socket.SOL_SOCKET, 15, 1)), s.getsockopt(socket.SOL_SOCKET, 15)])
""",
    )
    assert result.seen == [0, 0]


def test_what_is_left_of_closed_connections(any_box: AnyBox) -> None:
    """A minute each, 250 bytes, 130,000 of them."""
    result = attempt(
        any_box,
        """
listener = socket.create_server(("127.0.0.1", 0), backlog=16)
for _ in range(3000):
    with socket.create_connection(listener.getsockname()), listener.accept()[0]:
        pass
tcp = next(line for line in read("/proc/net/sockstat").splitlines() if line.startswith("TCP:"))
say(int(tcp.split()[tcp.split().index("tw") + 1]))
""",
    )
    assert 0 < result.seen <= 1024


def test_pages_that_hold_one_byte(box: Box) -> None:
    """What was sent is counted by its bytes, and each may hold a page of 32 KB that is not: 1.4 GB
    within 48 MB, and more the more connections there were. It is 0.45 now, and an eighth of that
    where `net.core.high_order_alloc_disable` is set, which is the operator's to do."""
    result = box.run(
        PRELUDE
        + TCP_PAGES
        + """
kept, pages = [], 0
for _ in range(30):
    kept.append(pair())
    sender = kept[-1][0]
    sender.setblocking(False)
    for _ in range(1500):
        if tried(lambda: sender.send(b"x")):
            break
        pages += 1
        use_up_the_page()
say(pages)
""",
        memory_bytes=MEMORY_BYTES,
        cpu_millis=2000,
    )
    assert result.seen * PAGE_BYTES < 12 * MEMORY_BYTES
