"""Which queue a strategy waits in."""

import difflib
from collections.abc import Collection, Sequence

from app.errors import Detail, ValidationFailedError

DEFAULT_TARGET = "default"
_COMPARED_CHARS = 64  # comparing takes seconds for megabytes


def check_targets(wanted: Sequence[str], known: Collection[str]) -> None:
    """Raise ValidationFailedError for a latency target that is not configured."""
    unknown = [target for target in wanted if target not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0][:_COMPARED_CHARS], list(known), n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        message = (
            f"unknown latency target {unknown[0]!r}; {hint}known are {', '.join(sorted(known))}"
        )
        raise ValidationFailedError([Detail("placement.latency_target", message)])


def choose_queue(wanted: Sequence[str], live: Collection[str]) -> str:
    """The first wanted target that a live runner serves, else the first; `default` if none."""
    if not wanted:
        return DEFAULT_TARGET
    return next((target for target in wanted if target in live), wanted[0])
