"""netd's half of the slots: namespaces, relays, policies, names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from sandbox.network import ruleset
from sandbox.network.host_addresses import HostAddresses
from sandbox.network.refusals import Refusal, Refusals
from sandbox.network.relay import SlotRelay
from sandbox.network.resolver import Doors, SlotResolver
from sandbox.network.router import Router, SlotSockets, slot_address, slot_interface
from sandbox.network.upstream import Upstream
from sandbox.policy import Rules


@dataclass(frozen=True)
class Services:
    """What all slots share. `api`: where it is, as the runner sees it."""

    router: Router
    refusals: Refusals
    own: HostAddresses
    upstream: Upstream
    api: tuple[str, int] | None
    extra_allowed: Sequence[IPv4Network]


@dataclass
class _Slot:
    """`rules` None: not opened yet, nothing but the API can be reached."""

    sockets: SlotSockets
    relay: SlotRelay | None
    rules: Rules | None = None
    resolver: SlotResolver | None = field(default=None)


class SlotKeeper:
    """Makes, adopts, opens and releases slots. Each method raises OSError."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._slots: dict[int, _Slot] = {}

    async def make(self, slot: int) -> int:
        """A new namespace for `slot`; answers with its descriptor."""
        namespace_fd, sockets = await self._services.router.make_slot(slot)
        try:
            await self._keep(slot, sockets)
        except BaseException:
            os.close(namespace_fd)
            await self.release(slot)
            raise
        return namespace_fd

    async def adopt(self, slot: int, rules: Rules | None) -> None:
        """Serve a slot that a dead netd made."""
        await self._keep(slot, await self._services.router.reopen_slot(slot))
        if rules is not None:
            await self.open(slot, rules)

    async def open(self, slot: int, rules: Rules) -> None:
        """Put a policy in force; it is when this returns."""
        self._services.router.nft.run(*ruleset.open_slot(slot_address(slot), rules))
        self._slots[slot].rules = rules
        await self._resolve_for(slot, rules)

    def refusals(self, slot: int) -> list[Refusal]:
        """Those since the last call."""
        return self._services.refusals.take(slot_address(slot))

    async def release(self, slot: int) -> None:
        """Cut a slot off and forget it; nothing of it is left in the router."""
        kept = self._slots.pop(slot, None)
        if kept is None:
            return
        if kept.resolver is not None:
            await kept.resolver.close()
        if kept.relay is not None:
            await kept.relay.close()
        kept.sockets.close()
        router = self._services.router
        router.nft.run(
            *ruleset.remove_slot(slot_interface(slot), slot_address(slot), kept.rules or Rules())
        )
        self._services.refusals.forget(slot_address(slot))
        await router.cut_slot(slot)

    async def close(self) -> None:
        """Stop serving. The namespaces end with their last process and descriptor."""
        for kept in self._slots.values():
            if kept.resolver is not None:
                await kept.resolver.close()
            if kept.relay is not None:
                await kept.relay.close()
            kept.sockets.close()
        self._slots.clear()

    async def _keep(self, slot: int, sockets: SlotSockets) -> None:
        api = self._services.api
        relay = SlotRelay(api) if api is not None else None
        self._slots[slot] = _Slot(sockets, relay)
        if relay is not None:
            await relay.listen(sockets.api)

    async def _resolve_for(self, slot: int, rules: Rules) -> None:
        if rules.mode == "none":
            return
        services, address = self._services, slot_address(slot)

        def open_(addresses: Iterable[str], port: int | None, lasts_s: int) -> None:
            services.router.nft.run(*ruleset.open_named(address, addresses, port, lasts_s))

        def refuse(destination: str) -> None:
            services.refusals.note(address, destination, 0, "dns", 1)

        doors = Doors(open_, refuse, is_own=services.own.include)
        resolver = SlotResolver(rules, services.upstream, doors, services.extra_allowed)
        kept = self._slots[slot]
        kept.resolver = resolver
        await resolver.start(kept.sockets.dns_udp, kept.sockets.dns_tcp)
