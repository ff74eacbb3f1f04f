"""Every way to write a symbol leads to one instrument, or to a message that helps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import MarketUnknownError, SymbolInvalidError
from market.fixed_point import snapped
from market.symbols import Form, Instrument, Kind, Outcome, Symbol, parse_symbol, resolve

YES_TOKEN, NO_TOKEN = "1" * 77, "2" * 60
TICKER = "KXNBAGAME-26MAY01LALHOU-LAL"
SLUG = "fed-decision-in-october"


class Listed:
    """A directory of one pair on one exchange, one ticker, and events of one and two markets."""

    def is_listed(self, kind: Kind, market: str, venue: str | None) -> bool:
        if kind is Kind.SPOT:
            return market == "BTC-USD" and venue in (None, "coinbase")
        return (market, venue) in ((TICKER, "kalshi"), (SLUG, "polymarket"))

    def of_token(self, token_id: str) -> tuple[str, Outcome] | None:
        return {YES_TOKEN: (SLUG, Outcome.YES), NO_TOKEN: (SLUG, Outcome.NO)}.get(token_id)

    def of_event(self, venue: str, event: str) -> list[str]:
        events = {"KXNBAGAME-26MAY01LALHOU": [TICKER], "fed": [SLUG], "cup": ["spain", "france"]}
        return events.get(event, []) if venue in ("kalshi", "polymarket") else []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BTC-USD", Symbol(Form.PAIR, "BTC-USD")),
        ("eth/usdt", Symbol(Form.PAIR, "ETH-USDT")),
        (" BTC-USD ", Symbol(Form.PAIR, "BTC-USD")),
        (TICKER, Symbol(Form.TICKER, TICKER, "kalshi", Outcome.YES)),
        (TICKER.lower(), Symbol(Form.TICKER, TICKER, "kalshi", Outcome.YES)),
        (f"{TICKER}:NO", Symbol(Form.TICKER, TICKER, "kalshi", Outcome.NO)),
        ("KXBTCD-26APR3018-T62500.5", Symbol(Form.TICKER, "KXBTCD-26APR3018-T62500.5", "kalshi",
                                             Outcome.YES)),
        ("KXBTC-USD", Symbol(Form.TICKER, "KXBTC-USD", "kalshi", Outcome.YES)),
        ("INXD-26APR30", Symbol(Form.TICKER, "INXD-26APR30", "kalshi", Outcome.YES)),
        (SLUG, Symbol(Form.SLUG, SLUG, "polymarket", Outcome.YES)),
        (f"{SLUG}:no", Symbol(Form.SLUG, SLUG, "polymarket", Outcome.NO)),
        ("btc-updown-5m-1776537600:YES", Symbol(Form.SLUG, "btc-updown-5m-1776537600",
                                                "polymarket", Outcome.YES)),
        (YES_TOKEN, Symbol(Form.TOKEN, YES_TOKEN, "polymarket")),
        ("https://polymarket.com/event/cup?tid=1", Symbol(Form.EVENT, "cup", "polymarket",
                                                          Outcome.YES)),
        ("https://www.polymarket.com/event/cup/spain", Symbol(Form.SLUG, "spain", "polymarket",
                                                              Outcome.YES)),
        ("https://kalshi.com/markets/kxnbagame/game/kxnbagame-26may01lalhou",
         Symbol(Form.EVENT, "KXNBAGAME-26MAY01LALHOU", "kalshi", Outcome.YES)),
    ],
)  # fmt: skip
def test_the_form_of_a_symbol(text: str, expected: Symbol) -> None:
    assert parse_symbol(text) == expected


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "use a pair"),
        ("   ", "use a pair"),
        ("x" * 401, "longer than 400"),
        ("BTC USD", "use a pair"),
        ("BTC-USD:YES", "leave out"),
        ("ETH-PERP", "spot pair"),
        (f"{SLUG}:maybe", ":YES or :NO"),
        (f"{YES_TOKEN}:no", "leave out the suffix"),
        ("1" * 59, "60 to 78 digits"),
        ("1" * 79, "60 to 78 digits"),
        ("\u0661" * 60, "use a pair"),
        ("https://example.com/event/x", "polymarket.com/event/SLUG"),
        ("ftp://polymarket.com/event/x", "polymarket.com/event/SLUG"),
        ("https://polymarket.com/event", "names no event"),
        ("https://kalshi.com/markets", "names no event"),
        ("https://polymarket.com/event/a%00b", "cannot be read"),
        ("https://[::1/event/x", "use https://"),
    ],
)
def test_a_bad_symbol_is_told_what_to_do(text: str, advice: str) -> None:
    with pytest.raises(SymbolInvalidError) as caught:
        parse_symbol(text)
    assert advice in str(caught.value)


def test_all_names_of_an_outcome_are_one_instrument() -> None:
    yes = Instrument(Kind.PREDICTION, SLUG, "polymarket", Outcome.YES)
    no = Instrument(Kind.PREDICTION, SLUG, "polymarket", Outcome.NO)
    names = (SLUG, f"{SLUG}:yes", YES_TOKEN, "https://polymarket.com/event/fed")
    assert {resolve(name, Listed()) for name in names} == {yes}
    assert {resolve(name, Listed()) for name in (f"{SLUG}:NO", NO_TOKEN)} == {no}
    assert not yes.is_mirrored
    assert no.is_mirrored


def test_an_event_of_one_kalshi_market_is_that_market() -> None:
    address = "https://kalshi.com/markets/kxnbagame/x/KXNBAGAME-26MAY01LALHOU"
    assert resolve(address, Listed()).market == TICKER


def test_a_pair_keeps_the_venue_that_was_asked_for() -> None:
    assert resolve("BTC-USD", Listed()).venue is None
    assert resolve("BTC-USD", Listed(), "coinbase").venue == "coinbase"


@pytest.mark.parametrize(
    ("text", "venue", "advice"),
    [
        ("DOGE-USD", None, "/v1/symbols"),
        ("BTC-USD", "kraken", "/v1/symbols"),
        ("3" * 70, None, "/v1/markets"),
        ("no-such-slug", None, "venue=polymarket"),
        ("KXNONE", None, "venue=kalshi"),
    ],
)
def test_what_is_not_listed_says_where_the_list_is(
    text: str, venue: str | None, advice: str
) -> None:
    with pytest.raises(MarketUnknownError) as caught:
        resolve(text, Listed(), venue)
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("text", "venue", "advice"),
    [
        ("https://polymarket.com/event/cup", None, "name one of them: spain, france"),
        (TICKER, "polymarket", "traded on kalshi"),
        ("BTC-USD", "kalshi", "coinbase"),
    ],
)
def test_what_does_not_fit_says_what_would(text: str, venue: str | None, advice: str) -> None:
    with pytest.raises(SymbolInvalidError) as caught:
        resolve(text, Listed(), venue)
    assert not isinstance(caught.value, MarketUnknownError)
    assert advice in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=90) | st.from_regex(r"[A-Za-z0-9:/.-]{0,90}", fullmatch=True))
def test_any_text_is_a_symbol_or_a_message_and_names_are_stable(text: str) -> None:
    try:
        symbol = parse_symbol(text)
    except SymbolInvalidError as error:
        assert str(error)
        return
    if symbol.form is not Form.EVENT:
        suffix = f":{symbol.outcome}" if symbol.outcome else ""
        assert parse_symbol(symbol.name + suffix) == symbol


def test_what_the_client_truncates_is_back_on_its_step() -> None:
    sent = {cents: int(cents / 100 * 1e9) for cents in range(1, 10_000_000, 997)}
    assert any(price % 10_000_000 for price in sent.values())
    assert [c for c, price in sent.items() if snapped(price, 10_000_000) != c * 10_000_000] == []
    assert int(0.0003 * 1e8) == 29_999
    assert snapped(29_999, 10_000) == 30_000


def test_a_price_that_is_off_its_tick_stays_off() -> None:
    assert snapped(155_000_000, 10_000_000) == 155_000_000
