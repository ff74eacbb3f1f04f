"""Interfaces, addresses and routes, by the kernel's own messages (rtnetlink(7)).

A socket belongs to the network namespace in which it was opened, whatever its thread enters later.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network
from types import TracebackType

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP, _NLM_F_CREATE, _NLM_F_EXCL = 0x1, 0x4, 0x300, 0x400, 0x200
_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK, _RTM_SETLINK = 16, 17, 18, 19
_RTM_NEWADDR, _RTM_GETADDR, _RTM_NEWROUTE, _RTM_GETROUTE = 20, 22, 24, 26
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 4, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY = 1, 4, 5, 6
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST, _RTN_LOCAL = 254, 4, 1, 2
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_IFF_UP = 0x1
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")
_MAX_BYTES = 256 * 1024
ANYWHERE = socket.inet_ntoa(bytes(4))


class Rtnetlink:
    """Requests to the routing side of the namespace in which it was made. Each raises OSError with
    the kernel's own number. A context manager; not thread-safe."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._sequence = 0

    def add_veth(self, name: str, peer: str, peer_namespace_fd: int, mtu_bytes: int) -> None:
        """A pair of interfaces: `name` here, `peer` in the other namespace."""
        mtu = _attribute(_IFLA_MTU, struct.pack("=I", mtu_bytes))
        other = _attribute(_IFLA_IFNAME, _name(peer)) + mtu
        other += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", peer_namespace_fd))
        kind = _attribute(_IFLA_INFO_KIND, b"veth")
        data = _attribute(
            _IFLA_INFO_DATA, _attribute(_VETH_INFO_PEER, _LINK.pack(0, 0, 0, 0, 0) + other)
        )
        body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, _name(name)) + mtu
        self._create(_RTM_NEWLINK, body + _attribute(_IFLA_LINKINFO, kind + data))

    def bring_up(self, name: str, mtu_bytes: int | None = None) -> None:
        body = _LINK.pack(0, 0, self._index(name), _IFF_UP, _IFF_UP)
        if mtu_bytes is not None:
            body += _attribute(_IFLA_MTU, struct.pack("=I", mtu_bytes))
        self._request(_RTM_SETLINK, 0, body)

    def delete_link(self, name: str) -> None:
        body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, _name(name))
        self._request(_RTM_DELLINK, 0, body)

    def add_address(self, name: str, address: str, prefix: int = 32) -> None:
        packed = socket.inet_aton(address)
        body = _ADDRESS.pack(socket.AF_INET, prefix, 0, 0, self._index(name))
        body += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
        self._create(_RTM_NEWADDR, body)

    def add_route(self, destination: str, prefix: int, name: str, metric: int = 0) -> None:
        """To hosts that are directly behind the interface `name`."""
        self._route(destination, prefix, _SCOPE_LINK, _link_route(self._index(name), metric))

    def add_default_route(self, gateway: str, name: str) -> None:
        to = _attribute(_RTA_GATEWAY, socket.inet_aton(gateway))
        self._route(ANYWHERE, 0, _SCOPE_UNIVERSE, _link_route(self._index(name), 0) + to)

    def addresses(self) -> list[str]:
        """Every IPv4 address of the namespace."""
        found = []
        for body in self._dump(_RTM_GETADDR, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)):
            attributes = dict(_attributes(body[_ADDRESS.size :]))
            local = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
            if local is not None:
                found.append(socket.inet_ntoa(local))
        return found

    def default_route_links(self) -> list[int]:
        """The indexes of the interfaces that an IPv4 default route leads to."""
        found = []
        for body in self._dump(_RTM_GETROUTE, _ROUTE.pack(socket.AF_INET, *[0] * 8)):
            _, prefix, _, _, table, *_ = _ROUTE.unpack_from(body)
            attributes = dict(_attributes(body[_ROUTE.size :]))
            if prefix == 0 and table == _RT_TABLE_MAIN and _RTA_OIF in attributes:
                found.append(struct.unpack("=i", attributes[_RTA_OIF])[0])
        return found

    def local_networks(self) -> list[IPv4Network]:
        """What a route, if no address, makes this host's own."""
        found = []
        for body in self._dump(_RTM_GETROUTE, _ROUTE.pack(socket.AF_INET, *[0] * 8)):
            _, prefix, *_, kind, _ = _ROUTE.unpack_from(body)
            attributes = dict(_attributes(body[_ROUTE.size :]))
            if kind == _RTN_LOCAL:
                address = attributes.get(_RTA_DST, bytes(4))
                found.append(IPv4Network((address, prefix)))
        return found

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Rtnetlink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _route(self, destination: str, prefix: int, scope: int, attributes: bytes) -> None:
        body = _ROUTE.pack(
            socket.AF_INET, prefix, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST, 0
        )
        if prefix:
            attributes += _attribute(_RTA_DST, socket.inet_aton(destination))
        self._create(_RTM_NEWROUTE, body + attributes)

    def _index(self, name: str) -> int:
        """Asked through our own socket: `if_nametoindex` would ask the thread's namespace."""
        body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, _name(name))
        (answer,) = self._request(_RTM_GETLINK, 0, body)
        return int(_LINK.unpack_from(answer)[2])

    def _create(self, kind: int, body: bytes) -> None:
        self._request(kind, _NLM_F_CREATE | _NLM_F_EXCL, body)

    def _dump(self, kind: int, body: bytes) -> list[bytes]:
        return self._request(kind, _NLM_F_DUMP, body)

    def _request(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        self._sequence += 1
        flags |= _NLM_F_REQUEST | _NLM_F_ACK
        header = _HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0)
        self._socket.send(header + body)
        answers: list[bytes] = []
        while True:
            for kind_of, sequence, content in _messages(self._socket.recv(_MAX_BYTES)):
                if sequence != self._sequence:
                    continue  # of a request that was given up
                if kind_of == _NLMSG_DONE:
                    return answers
                if kind_of == _NLMSG_ERROR:
                    number = -struct.unpack_from("=i", content)[0]
                    if number:
                        raise OSError(number, f"rtnetlink request: {os.strerror(number)}")
                    return answers
                answers.append(content)


def _link_route(index: int, metric: int) -> bytes:
    found = _attribute(_RTA_OIF, struct.pack("=i", index))
    return found + (_attribute(_RTA_PRIORITY, struct.pack("=I", metric)) if metric else b"")


def _name(interface: str) -> bytes:
    return interface.encode("ascii") + b"\0"


def _attribute(kind: int, content: bytes) -> bytes:
    padding = -len(content) % 4
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(padding)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind, data[4:length]
        data = data[length + (-length % 4) :]


def _messages(data: bytes) -> Sequence[tuple[int, int, bytes]]:
    found = []
    while len(data) >= _HEADER.size:
        length, kind, _, sequence, _ = _HEADER.unpack_from(data)
        found.append((kind, sequence, data[_HEADER.size : length]))
        data = data[length + (-length % 4) :]
    return found
