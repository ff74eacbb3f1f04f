"""The router's nftables rules, and the changes to them, as text.

Who is who is decided by the interface a packet came through and its source together, in the first
chain; later ones look at the source alone. All that differs between slots are elements of sets.

What this connection table takes for the end of a connection must reach the next one behind the
uplink, which remembers it for days: nothing is left to die on its way (time to live, IP options).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, collapse_addresses

from sandbox.config import API_ADDRESS
from sandbox.network import ranges
from sandbox.policy import Rules

TABLE = "inet sequence"
UPLINK = "uplink"
_QUERY = f"ip daddr {API_ADDRESS} udp dport 53"
# New connections of one slot. With the short memory for ended ones (router.py) this keeps a program
# that opens and closes without end from filling the connection table that all slots share.
_BEGUN = "200/second burst 1000 packets"
# Datagrams, which no congestion slows: a flood of them keeps slirp4netns from all others.
_CARRIED = "10000/second burst 5000 packets"

MOST_TO_ITSELF = 128  # TCP connections of one slot that it opened to itself and did not yet close
_RESETS = "1/minute burst 500 packets"


def table(closed: Iterable[IPv4Network], named_only: Iterable[IPv4Network], most: int) -> str:
    """`closed`: to everybody. `named_only`: but for a range rule. `most`: connections a slot."""
    mail = _set(ranges.MAIL_PORTS)
    return f"""
table {TABLE} {{
  set slots {{ type ifname . ipv4_addr; }}
  set resolving {{ type ipv4_addr; }}
  set internet {{ type ipv4_addr; }}
  set named {{ type ipv4_addr . ipv4_addr; flags timeout; }}
  set named_port {{ type ipv4_addr . ipv4_addr . inet_service; flags timeout; }}
  set ranges {{ type ipv4_addr . ipv4_addr; flags interval; }}
  set ranges_port {{ type ipv4_addr . inet_service . ipv4_addr; flags interval; }}
  set closed {{ type ipv4_addr; flags interval; elements = {_set(closed)} }}
  set named_only {{ type ipv4_addr; flags interval; elements = {_set(named_only)} }}
  set own {{ type ipv4_addr; flags interval; }}
  map api {{ type inet_service : ipv4_addr . inet_service; }}

  set connections {{ type ipv4_addr; size 65535; flags dynamic; }}
  set begun {{ type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }}
  set carried {{ type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }}
  set queries {{ type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }}
  set refused_all {{ type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1h; }}
  set refused_pace {{ type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1h; }}
  set refused {{
    type ipv4_addr . ipv4_addr . inet_proto . inet_service
    size 65535; flags dynamic,timeout; timeout 1h
  }}

  chain arriving {{
    type filter hook prerouting priority raw; policy drop
    iifname {{ "lo", "{UPLINK}" }} meta nfproto ipv4 accept
    iifname . ip saddr != @slots drop
    ip hdrlength != 5 drop
    ip ttl set 64
    {_QUERY} notrack
    accept
  }}
  chain leaving {{
    type filter hook output priority raw; policy accept
    ip saddr {API_ADDRESS} udp sport 53 notrack
  }}
  chain to_api {{
    type nat hook prerouting priority dstnat
    iifname != "{UPLINK}" ip daddr {API_ADDRESS} meta l4proto tcp dnat ip to tcp dport map @api
  }}
  chain to_router {{
    type filter hook input priority filter; policy drop
    iifname "lo" accept
    ct state established,related accept
    iifname "{UPLINK}" drop
    {_QUERY} goto to_resolver
    ip daddr {API_ADDRESS} tcp dport 53 goto to_resolver
    ip daddr {API_ADDRESS} meta l4proto tcp goto within_pace
    goto refuse
  }}
  chain to_resolver {{
    ip saddr != @resolving goto refuse
    meta l4proto tcp goto within_pace
    update @queries {{ ip saddr limit rate over 200/second burst 200 packets }} drop
    accept
  }}
  chain within_pace {{
    update @begun {{ ip saddr limit rate over {_BEGUN} }} goto refuse
    accept
  }}
  chain through {{
    type filter hook forward priority filter; policy drop
    oifname "{UPLINK}" meta l4proto udp \
update @carried {{ ip saddr limit rate over {_CARRIED} }} drop
    ct state established,related accept
    iifname "{UPLINK}" drop
    ct status dnat goto within_most
    ip daddr @closed goto refuse
    ip daddr @own goto refuse
    meta l4proto != {{ tcp, udp }} goto refuse
    th dport 53 goto refuse
    tcp dport {mail} goto refuse
    ip saddr @internet ip daddr != @named_only goto within_most
    ip saddr . ip daddr . th dport @named_port goto within_most
    ip saddr . ip daddr @named goto within_most
    ip saddr . ip daddr @ranges goto within_most
    ip saddr . th dport . ip daddr @ranges_port goto within_most
    goto refuse
  }}
  chain within_most {{
    oifname != "{UPLINK}" goto reject_it
    update @begun {{ ip saddr limit rate over {_BEGUN} }} goto refuse
    add @connections {{ ip saddr ct count over {most} }} goto refuse
    accept
  }}
  chain refuse {{
    update @refused_all {{ ip saddr counter }}
    update @refused_pace {{ ip saddr limit rate 2/second burst 64 packets }} \
update @refused {{ ip saddr . ip daddr . meta l4proto . th dport counter }}
    goto reject_it
  }}
  chain reject_it {{
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }}
  chain masquerade_it {{
    type nat hook postrouting priority srcnat
    oifname "{UPLINK}" masquerade
  }}
}}
"""


def slot_table(mtu_bytes: int) -> str:
    """For a slot's own namespace. Until a program accepts a connection of its own loopback, its
    memory is counted by no limit of the run; a program that never does could take all that the
    kernel grants the host's TCP. What leaves the slot is counted by the router.

    A reset (but the answer to a closed port, whose sequence is 0) makes connection tracking forget
    what the program did not accept yet, so there may not be many of them.

    All goes by the router. Whoever tells the kernel not to (MSG_DONTROUTE) has it look for each
    address on the wire itself, in a table of neighbours that the host has once.

    No datagram leaves in parts. What puts them together is one queue for all slots in the router,
    and in slirp4netns code that a lost part makes fail; and the pace counts datagrams.
    """
    return f"""
table {TABLE} {{
  chain arriving {{
    type filter hook prerouting priority raw; policy accept
    iifname != "lo" notrack
    meta l4proto != tcp notrack
  }}
  chain leaving {{
    type filter hook output priority raw; policy accept
    oifname != "lo" notrack
    meta l4proto != tcp notrack
    oifname "lo" tcp flags & rst == rst tcp sequence != 0 limit rate over {_RESETS} drop
  }}
  chain to_itself {{
    type filter hook output priority filter; policy accept
    oifname != "lo" meta nfproto ipv4 rt ip nexthop != {API_ADDRESS} \
reject with icmpx admin-prohibited
    oifname != "lo" meta l4proto != tcp meta length > {mtu_bytes} drop
    oifname "lo" meta l4proto tcp ct state new ct count over {MOST_TO_ITSELF} \
reject with tcp reset
  }}
}}
"""


def add_slot(interface: str, address: str) -> str:
    """The commands that put a slot under the rules."""
    return _element("add", "slots", f'"{interface}" . {address}')


def open_slot(address: str, rules: Rules) -> list[str]:
    """What a policy opens before any name was asked for."""
    if rules.mode == "none":
        return []
    commands = [_element("add", "resolving", address)]
    if rules.mode == "internet":
        commands.append(_element("add", "internet", address))
    for port in sorted({rule.port or 0 for rule in rules.ranges}):
        # Collapsed, because the kernel refuses overlapping elements.
        networks = collapse_addresses(r.network for r in rules.ranges if (r.port or 0) == port)
        name, key = ("ranges_port", f"{address} . {port}") if port else ("ranges", address)
        listed = ", ".join(f"{key} . {network}" for network in networks)
        commands.append(_element("add", name, listed))
    return commands


def remove_slot(interface: str, address: str, rules: Rules) -> list[str]:
    """The opposite of the two above. Named addresses are left to their time-out: nobody can use
    them any more, and no other slot gets this one's address for 100,000 runs."""
    # There is an element of it once the slot has had a connection: added, it is there surely.
    counted = _element("add", "connections", f"{address} ct count over 1")
    return [
        *(
            command.replace("add ", "delete ", 1)
            for command in (add_slot(interface, address), *open_slot(address, rules))
        ),
        counted,
        _element("delete", "connections", address),
    ]


def close_all() -> list[str]:
    """Nothing passes for any slot until it is added again; named addresses may wait for that."""
    names = ("slots", "resolving", "internet", "ranges", "ranges_port")
    return [f"flush set {TABLE} {name}" for name in names]


def open_named(address: str, found: Iterable[str], port: int | None, lasts_s: int) -> list[str]:
    """Open the addresses in `found` to a slot, `lasts_s` from now even if they are open already."""
    keys = [f"{address} . {one}" + (f" . {port}" if port else "") for one in found]
    name = "named_port" if port else "named"
    commands = []
    for key in keys:
        # An `add` of what is there changes nothing, its time-out included.
        commands += [_element("add", name, key), _element("delete", name, key)]
        commands.append(_element("add", name, f"{key} timeout {lasts_s}s"))
    return commands


def replace_own(addresses: Iterable[IPv4Network]) -> list[str]:
    """The commands that renew the set of the host's own addresses."""
    listed = ", ".join(map(str, collapse_addresses(addresses)))
    return [f"flush set {TABLE} own", *([_element("add", "own", listed)] if listed else [])]


def replace_api(targets: Iterable[tuple[int, str, int]]) -> list[str]:
    """(port inside, address, port): what is translated on its way instead of relayed."""
    listed = ", ".join(f"{port} : {address} . {there}" for port, address, there in targets)
    return [f"flush map {TABLE} api", *([_element("add", "api", listed)] if listed else [])]


def _element(verb: str, name: str, content: str) -> str:
    return f"{verb} element {TABLE} {name} {{ {content} }}"


def _set(members: Iterable[object]) -> str:
    return "{ " + ", ".join(map(str, members)) + " }"
