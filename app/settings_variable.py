"""What one setting is: a variable of the environment, with its default, its unit and its parser."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What a process is for: it decides which variables have to be set."""

    WEB = "web"
    RUNNER = "runner"
    SCHEDULER = "scheduler"
    FLOWER = "flower"
    ADMIN = "admin"
    MARKET = "market"
    ROTATION = "rotate-keys"


@dataclass(frozen=True)
class Variable:
    """One environment variable.

    Attributes:
        default: as it would stand in the environment; None when it has to be set.
        unit: of the value, for the reader of `.env.example`.
        required_for: the roles that cannot start without it.
    """

    name: str
    help: str
    unit: str
    default: str | None
    parser: Callable[[str], Any]
    required_for: frozenset[Role] = frozenset()


def variable(  # noqa: PLR0913 - one argument for each column of .env.example
    name: str,
    help: str,
    *,
    parser: Callable[[str], Any],
    unit: str = "text",
    default: str | None = "",
    required_for: tuple[Role, ...] = (),
) -> Any:
    """A field of a settings class; it has to be read from the environment."""
    spec = Variable(name, help, unit, default, parser, frozenset(required_for))
    return dataclasses.field(metadata={"variable": spec})
