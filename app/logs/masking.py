"""Which secrets are masked in logs, as owners are told and runners do it."""

from collections.abc import Mapping

MIN_CHARS = 6
"""Shorter values are not masked: they would black out ordinary words."""


def unmasked(secrets: Mapping[str, str]) -> list[str]:
    """The names of those whose values are too short to be masked, in order."""
    return sorted(name for name, value in secrets.items() if len(value.strip()) < MIN_CHARS)


def warnings(secrets: Mapping[str, str]) -> list[str]:
    """What the owner of these secrets should know about them."""
    return [
        f"secret {name} has fewer than {MIN_CHARS} characters: it is not masked in the log"
        for name in unmasked(secrets)
    ]
