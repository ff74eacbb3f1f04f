"""What is told to nftables, and to the kernel's routing."""

from __future__ import annotations

import pytest

from sandbox import NetworkPolicy
from sandbox.network import router, ruleset
from sandbox.network.refusals import protocol_name


def test_no_policy_opens_nothing() -> None:
    assert ruleset.open_slot("198.18.1.7", NetworkPolicy().rules()) == []


def test_an_allow_list_opens_its_ranges_and_the_resolver() -> None:
    entries = ["8.8.8.0/24", "8.8.8.8", "8.8.8.8:80", "8.8.8.9:80", "1.1.1.1:443", "a.example:80"]
    commands = ruleset.open_slot("198.18.1.7", NetworkPolicy("allow", entries).rules())
    table = "add element inet sequence"
    assert commands == [
        f"{table} resolving {{ 198.18.1.7 }}",
        f"{table} ranges {{ 198.18.1.7 . 8.8.8.0/24 }}",
        f"{table} ranges_port {{ 198.18.1.7 . 80 . 8.8.8.8/31 }}",
        f"{table} ranges_port {{ 198.18.1.7 . 443 . 1.1.1.1/32 }}",
    ]


def test_closing_names_everything_that_was_opened() -> None:
    rules = NetworkPolicy("allow", ["8.8.8.0/24"]).rules()
    opened = [ruleset.add_slot("s7", "198.18.1.7"), *ruleset.open_slot("198.18.1.7", rules)]
    *closed, counted, uncounted = ruleset.remove_slot("s7", "198.18.1.7", rules)
    assert counted.startswith("add element inet sequence connections { 198.18.1.7 ")
    assert uncounted == "delete element inet sequence connections { 198.18.1.7 }"
    assert [command.replace("delete ", "add ") for command in closed] == opened


def test_an_address_that_is_open_already_stays_open_longer() -> None:
    first, second, third = ruleset.open_named("198.18.1.7", ["9.9.9.9"], 443, 40)
    assert first == "add element inet sequence named_port { 198.18.1.7 . 9.9.9.9 . 443 }"
    assert second == first.replace("add", "delete", 1)
    assert third == first.replace("443", "443 timeout 40s")


def test_addresses_of_slots() -> None:
    many = {router.slot_address(slot) for slot in range(130_560)}
    assert len(many) == 130_560
    assert router.slot_address(130_560) == router.slot_address(0) == "198.18.1.0"
    assert "198.18.0.1" not in many
    assert not any(address.startswith("198.19.255.") for address in many)


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ("tcp", "tcp"),
        (6, "tcp"),
        ("6", "tcp"),
        (17, "udp"),
        (1, "icmp"),
        (47, "47"),
        ("gre", "gre"),
    ],
)
def test_protocols_have_one_name_on_hosts_with_and_without_a_list(
    found: str | int, name: str
) -> None:
    assert protocol_name(found) == name
