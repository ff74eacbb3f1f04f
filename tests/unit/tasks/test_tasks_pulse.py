"""When a silence is too long: counted in looks, never by what a clock did between them."""

from __future__ import annotations

from tasks.pulse import Patience


def looks_until_too_long(patience: Patience) -> int:
    looks = 1
    while not patience.look(has_heard=False, is_excused=False):
        looks += 1
    return looks


def test_silence_for_longer_than_the_limit() -> None:
    patience = Patience(60.0)
    assert patience.look_every_s == 5.0
    assert looks_until_too_long(patience) == 13


def test_a_pulse_begins_the_count_anew() -> None:
    patience = Patience(60.0)
    for _ in range(12):
        assert not patience.look(has_heard=False, is_excused=False)
    assert not patience.look(has_heard=True, is_excused=False)
    assert looks_until_too_long(patience) == 13


def test_one_that_could_not_hear_begins_anew_when_it_can() -> None:
    patience = Patience(60.0)
    for _ in range(12):
        assert not patience.look(has_heard=False, is_excused=False)
    for _ in range(100):
        assert not patience.look(has_heard=False, is_excused=True)
    assert looks_until_too_long(patience) == 13
