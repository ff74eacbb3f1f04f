"""One grammar of allow lists: the API refuses what a runner would refuse."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.strategies import egress as of_the_api
from sandbox import NetworkPolicy, ProgramInvalidError, policy
from sandbox.network import ranges

GOOD = (
    *("api.kalshi.com:443", "*.coinbase.com", "Example.ORG.", "münchen.de", "a_b.example.com"),
    *("8.8.8.8", "1.1.1.1:443", "203.0.113.0/24", "93.184.0.0/16:80", "8.0.0.0/255.0.0.0"),
)
BAD = (
    *("https://api.kalshi.com/v1", "api.kalshi.com:443/v1", "*", "*.com", "localhost", "", ":443"),
    *("a..b", "-a.com", "a.*.com", "a b.com", f"{'a' * 64}.com", ".".join(["abcdefgh"] * 30)),
    *("2606:4700::1111", "[2606:4700::1111]:443", "a.com:", "a.com:0", "a.com:65536"),
    *("a.com:\u0663", "a.com:25", "1.2.3.0/24:465", "a.com:587", "8.8.8.8:53", "2130706433"),
    *("127.1", "8.8.8.8.8", "010.0.0.1", "8.8.8.8/33", "\uff18.8.8.8", "0x7f000001", "0x7f.0.0.1"),
    *("1.2.3.4/24", "127.0.0.1", "0.0.0.0", "10.1.2.3:80", "192.0.0.0/8", "128.0.0.0/1", "/", "."),
)
HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.from_regex(r"(\*\.)?[a-zA-Z0-9_ü-]{1,4}(\.[a-z0-9-]{0,4}){0,3}\.?", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,4}(/[0-9.]{0,4})?", fullmatch=True),
    st.sampled_from([f"{network}" for network in ranges.NEVER]),
    st.text(max_size=8),
)
PORTS = st.one_of(st.just(""), st.integers(-1, 70_000).map(":{}".format), st.text(max_size=3))


def refused_by_a_runner(entry: str) -> bool:
    try:
        NetworkPolicy("allow", [entry]).rules()
    except ProgramInvalidError:
        return True
    return False


@settings(max_examples=80, deadline=None)
@given(HOSTS, PORTS)
def test_generated_entries_meet_one_verdict(host: str, port: str) -> None:
    entry = host + port
    assert bool(of_the_api.entry_problem(entry)) == refused_by_a_runner(entry), entry


@pytest.mark.parametrize("entry", GOOD)
def test_what_is_taken(entry: str) -> None:
    assert not refused_by_a_runner(entry)
    assert of_the_api.entry_problem(entry) == ""


@pytest.mark.parametrize("entry", BAD)
def test_what_is_refused_is_told_with_what_is_allowed(entry: str) -> None:
    assert refused_by_a_runner(entry)
    problem = of_the_api.entry_problem(entry)
    assert problem.startswith(f"{entry!r}: ")
    assert problem.endswith("; " + of_the_api.FORMS)


def test_what_is_closed_and_the_modes_are_the_runners_own() -> None:
    closed = {str(network): what for network, what in ranges.NEVER.items()}
    assert closed == of_the_api.CLOSED
    assert ranges.MAIL_PORTS == of_the_api.MAIL_PORTS
    assert set(policy.MODES) == set(of_the_api.MODES)
