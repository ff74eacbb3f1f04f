"""The id of a line, which is also the cursor behind it: `{epoch}-{number}`."""

import re
from dataclasses import dataclass

from app.errors import Detail, InvalidParamsError

# No epoch has ten digits: PostgreSQL would raise at a number that its column cannot hold.
_FORM = re.compile(r"(\d{1,9})-(\d{1,18})", re.ASCII)


@dataclass(frozen=True, order=True)
class Cursor:
    """A place in a strategy's log: behind line `number` of the run with this epoch."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"


def parse(text: str, field: str) -> Cursor:
    """The cursor that a client sent back.

    Raises:
        InvalidParamsError: it is not the id of a line.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        message = f"{field} is the id of a line, such as 3-17, not {text[:40]!r}"
        raise InvalidParamsError(message, [Detail(field, message)])
    return Cursor(int(match[1]), int(match[2]))
