"""netd's parts, put together from what the runner configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from sandbox.network import uplink_user, uplink_veth
from sandbox.network.host_addresses import HostAddresses
from sandbox.network.refusals import Refusals
from sandbox.network.router import Router, Settings
from sandbox.network.slots import Services, SlotKeeper
from sandbox.network.uplink import Uplink
from sandbox.network.upstream import Upstream

_MTU_BYTES = {
    "none": uplink_user.MTU_BYTES,
    "user": uplink_user.MTU_BYTES,
    "veth": uplink_veth.MTU_BYTES,
}


@dataclass(frozen=True)
class Network:
    """`uplink` is made, not started."""

    router: Router
    keeper: SlotKeeper
    own: HostAddresses
    uplink: Uplink | None

    def close(self) -> None:
        self.own.close()
        self.router.close()


async def assemble(fields: Mapping[str, Any], router_fd: int | None) -> Network:
    """By the fields of `configure`; `router_fd`: the namespace of a netd that died. Raises
    OSError."""
    allowed = [IPv4Network(text) for text in fields["extra_allowed"]]
    api = (fields["api"][0], int(fields["api"][1])) if fields["api"] else None
    router = Router(
        Settings(
            ports=fields["ports"],
            mtu_bytes=_MTU_BYTES[fields["uplink"]],
            connections=fields["connections"],
            extra_allowed=allowed,
            extra_blocked=[IPv4Network(text) for text in fields["extra_blocked"]],
        )
    )
    await router.open(router_fd)
    own = HostAddresses(router.nft)
    own.start()
    services = Services(
        router=router,
        refusals=Refusals(router.nft),
        own=own,
        upstream=Upstream(fields["resolvers"]),
        api=api,
        extra_allowed=allowed,
    )
    return Network(router, SlotKeeper(services), own, _uplink(fields, router))


def _uplink(fields: Mapping[str, Any], router: Router) -> Uplink | None:
    if fields["uplink"] == "user":
        return uplink_user.UserUplink(router, fields["slirp4netns"])
    if fields["uplink"] == "veth":
        api = fields["api"]
        target = uplink_veth.translatable(api[0], int(api[1]), fields["ports"]) if api else None
        return uplink_veth.VethUplink(router, fields["name"], target)
    return None
