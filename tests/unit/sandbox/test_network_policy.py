"""What an allow list may say, and what is said of an entry that it may not."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from sandbox import HostConfig, NetworkPolicy, ProgramInvalidError
from sandbox.network import ranges
from sandbox.policy import MAX_ENTRIES, NameRule, RangeRule, Rules


def rules(*entries: str) -> Rules:
    return NetworkPolicy("allow", entries).rules()


def test_names() -> None:
    assert rules("api.kalshi.com:443", "*.coinbase.com", "Example.ORG.", "münchen.de").names == (
        NameRule("api.kalshi.com", below=False, port=443),
        NameRule("coinbase.com", below=True, port=None),
        NameRule("example.org", below=False, port=None),
        NameRule("xn--mnchen-3ya.de", below=False, port=None),
    )


def test_addresses_and_ranges() -> None:
    assert rules("8.8.8.8", "1.1.1.1:443", "203.0.113.0/24", "93.184.0.0/16:80").ranges == (
        RangeRule(IPv4Network("8.8.8.8/32"), None),
        RangeRule(IPv4Network("1.1.1.1/32"), 443),
        RangeRule(IPv4Network("203.0.113.0/24"), None),
        RangeRule(IPv4Network("93.184.0.0/16"), 80),
    )


def test_what_a_name_covers() -> None:
    below, exact = NameRule("coinbase.com", True, None), NameRule("coinbase.com", False, None)
    names = ("coinbase.com", "a.coinbase.com", "b.a.coinbase.com", "notcoinbase.com", "com")
    assert [below.covers(name) for name in names] == [False, True, True, False, False]
    assert [exact.covers(name) for name in names] == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("https://api.kalshi.com/v1", "this is a URL"),
        ("api.kalshi.com:443/v1", "this is a URL"),
        ("*", "use network mode 'internet'"),
        ("*.com", "all of a top-level domain"),
        ("localhost", "a name without a domain"),
        ("a..b", "the forms are host, host:port"),
        ("", "the forms are host, host:port"),
        (":443", "the forms are host, host:port"),
        ("-a.com", "no name of a host"),
        ("a.*.com", "no name of a host"),
        ("a b.com", "no name of a host"),
        (f"{'a' * 64}.com", "no name of a host"),
        (".".join(["abcdefgh"] * 30), "no name of a host"),
        ("2606:4700::1111", "IPv6 is not carried"),
        ("[2606:4700::1111]:443", "IPv6 is not carried"),
        ("a.com:", "a number from 1 to 65535"),
        ("a.com:0", "a number from 1 to 65535"),
        ("a.com:65536", "a number from 1 to 65535"),
        ("a.com:\u0663", "a number from 1 to 65535"),
        ("a.com:25", "port 25 is for mail"),
        ("1.2.3.0/24:465", "port 465 is for mail"),
        ("a.com:587", "port 587 is for mail"),
        ("8.8.8.8:53", "port 53 is closed"),
        ("2130706433", "no address"),
        ("127.1", "no address"),
        ("8.8.8.8.8", "no address"),
        ("010.0.0.1", "no address"),
        ("8.8.8.8/33", "no address"),
        ("\uff18.8.8.8", "no address"),
        ("0x7f000001", "a number is no name of a host"),
        ("0x7f.0.0.1", "a number is no name of a host"),
        ("1.2.3.4/24", r"did you mean 1\.2\.3\.0/24\?"),
        ("127.0.0.1", r"127\.0\.0\.0/8 \(loopback\)"),
        ("0.0.0.0", "this host"),
        ("10.1.2.3:80", "a private network"),
        ("172.16.0.0/12", "a private network"),
        ("192.168.1.1", "a private network"),
        ("100.64.0.1", "a provider's inner network"),
        ("169.254.169.254", "metadata services"),
        ("168.63.129.16", "a cloud's metadata service"),
        ("192.0.0.192", "metadata services"),
        ("198.18.0.1:8000", "the sandboxes' own network"),
        ("224.0.0.251", "multicast"),
        ("255.255.255.255", "reserved or broadcast"),
        ("0.0.0.0/0", "reaches into"),
        ("192.0.0.0/8", "reaches into"),
        ("128.0.0.0/1", "reaches into"),
    ],
)
def test_what_is_refused(entry: str, complaint: str) -> None:
    with pytest.raises(ProgramInvalidError, match=complaint) as caught:
        rules(entry)
    assert str(caught.value).startswith(f"allow entry {entry!r}: ")


def test_what_an_operator_allowed_may_be_named() -> None:
    policy = NetworkPolicy("allow", ["10.1.0.0/16", "10.1.2.3:5432"])
    assert len(policy.rules([IPv4Network("10.1.0.0/16")]).ranges) == 2
    with pytest.raises(ProgramInvalidError, match=r"HostConfig\.extra_allowed"):
        policy.rules([IPv4Network("10.1.2.0/24")])


def test_modes() -> None:
    assert NetworkPolicy().rules() == Rules("none")
    assert NetworkPolicy("internet").rules() == Rules("internet")
    with pytest.raises(ProgramInvalidError, match="use one of none, internet, allow"):
        NetworkPolicy("all").rules()
    with pytest.raises(ProgramInvalidError, match="needs network mode 'allow'"):
        NetworkPolicy("internet", ["a.com"]).rules()


def test_too_many_entries() -> None:
    assert len(rules(*["a.com"] * MAX_ENTRIES).names) == MAX_ENTRIES
    with pytest.raises(ProgramInvalidError, match="257 entries; a run takes 256"):
        rules(*["a.com"] * (MAX_ENTRIES + 1))


def test_rules_survive_the_way_to_netd() -> None:
    made = rules("a.com:443", "*.b.com", "8.8.8.0/24", "1.1.1.1:80")
    assert Rules.from_fields(made.to_fields()) == made


@pytest.mark.parametrize("network", ["127.0.0.0/8", "169.254.0.0/16", "198.18.0.0/24", "0.0.0.0/0"])
def test_what_not_even_an_operator_opens(network: str) -> None:
    with pytest.raises(ValueError, match="leads back to this host"):
        HostConfig(name="x", extra_allowed=(network,))


def test_settings_of_the_host() -> None:
    with pytest.raises(ValueError, match="use one of auto, user, veth, none"):
        HostConfig(name="x", uplink="wifi")
    for wrong in ({"extra_blocked": ("x",)}, {"resolvers": ("dns.example",)}, {"connections": 0}):
        with pytest.raises(ValueError):
            HostConfig(name="x", **wrong)  # type: ignore[arg-type]


def test_closed_ranges_less_what_is_allowed() -> None:
    hole = IPv4Network("10.1.0.0/16")
    left = ranges.closed([hole])
    assert not any(hole.overlaps(one) for one in left)
    assert any(IPv4Network("10.2.0.0/16").subnet_of(one) for one in left)
    assert sum(one.num_addresses for one in ranges.closed([])) - sum(
        one.num_addresses for one in left
    ) == (1 << 16)
