"""Hooks: files of a strategy's artifact that run after it is gone, and which ending calls which."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from app.artifacts.archive import ArchiveError, normalise
from app.errors import Detail, ValidationFailedError
from app.strategies.models import Strategy
from app.strategies.states import Reason

_FILES = ("on_stop", "on_crash")
_ON_STOP = frozenset(
    {Reason.COMPLETED, Reason.STOPPED_BY_USER, Reason.RESTARTED_BY_USER, Reason.EVICTED}
)
_CANNOT_RUN = frozenset(
    {Reason.SECRETS_UNREADABLE, Reason.ARTIFACT_CORRUPT, Reason.NETWORK_REFUSED}
)


def hook_of(hooks: Mapping[str, Any], reason: Reason) -> tuple[str, str] | None:
    """Name and file of the hook that this ending calls; None when there is none.

    Every ending that is not one of the good ones calls `on_crash`, but those in which the hook
    could not run either: its secrets do not open, or its files are not what was uploaded.
    """
    if reason in _CANNOT_RUN:
        return None
    name = "on_stop" if reason in _ON_STOP else "on_crash"
    return (name, hooks[name]) if name in hooks else None


def left_behind(row: Strategy) -> dict[str, Any]:
    """Columns of a row whose runner is lost: the hook that another one has to run, if any.

    Truthy exactly when there is one; it runs before the next run starts, and also when nothing is
    to be started any more.
    """
    reason = Reason(row.hook_due) if row.hook_due else Reason.RUNNER_LOST
    return {"hook_due": reason} if hook_of(row.hooks, reason) else {}


def checked(hooks: Mapping[str, Any], files: Collection[str]) -> dict[str, Any]:
    """The table with normalised paths.

    Raises:
        ValidationFailedError: a hook is not among the artifact's `files`.
    """
    details = []
    found = dict(hooks)
    for name in _FILES:
        if name in hooks:
            try:
                found[name] = normalise(hooks[name])
            except ArchiveError as error:
                details.append(Detail(f"hooks.{name}", str(error)))
                continue
            if found[name] not in files:
                details.append(Detail(f"hooks.{name}", _missing(found[name], files)))
    if details:
        raise ValidationFailedError(details)
    return found


def _missing(path: str, files: Collection[str]) -> str:
    close = difflib.get_close_matches(path, list(files), n=1)
    hint = f"did you mean {close[0]!r}?" if close else "put it there, or drop the hook"
    return f"{path!r} is not in the artifact; {hint}"
