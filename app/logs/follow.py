"""Following a strategy's log live, across its restarts, until it is over."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from app.api.context import Services
from app.clients.service import Principal
from app.database import database_now
from app.logs.cursor import Cursor
from app.logs.feed import AWAY_ERRORS, Feed, encode
from app.logs.filters import Filter
from app.logs.formats import EVENTS, Format
from app.strategies import repository
from app.strategies.models import Strategy
from app.strategies.states import Reason, Status

log = logging.getLogger(__name__)

_HEARTBEAT_S = 10.0
_AWAY_PAUSE_S = 1.0
_RECENT_S = 60.0
_SLOW = ("slow", "lines came faster than this connection took them; resume from here")
_RESTARTS = ("restart", "this server is being replaced; connect again and resume from here")
_KEY_ENDED = ("key_ended", "the API key was revoked, or ran out; follow with another one")
# What waits for a runner longer than a moment says so instead of `requested`.
_FRESH = (Reason.REQUESTED, Reason.NO_RUNNER, Reason.NO_CAPACITY)


@dataclass
class Follower:
    """One reader of one strategy's log; `events()` yields text in the form that was asked for."""

    services: Services
    caller: Principal
    strategy_id: str
    after: Cursor | None
    form: Format = EVENTS
    wanted: Filter = field(default_factory=Filter)
    _is_live: bool = False

    def events(self) -> Iterator[str]:
        """Lines and, last, how it ended; heartbeats keep proxies from closing the connection.

        A reader that is slower than the strategy is told so and let go; it can resume where it is.
        """
        yield self.form.heartbeat
        with self.services.feeds.following(self.strategy_id) as feed:
            while True:
                try:
                    yield from self._until_over(feed)
                    return
                except AWAY_ERRORS as error:
                    log.warning("follow_interrupted", extra={"error": type(error).__name__})
                    yield self.form.heartbeat
                    time.sleep(_AWAY_PAUSE_S)

    def _until_over(self, feed: Feed) -> Iterator[str]:
        after = self.after or self._start()
        while True:
            self.after = after
            if not self.services.key_watch.holds(self.caller.key_id):
                yield self._parting(after, *_KEY_ENDED)
                return
            if feed.is_closing:
                yield self._parting(after, *_RESTARTS)
                return
            oldest = feed.beginning(_HEARTBEAT_S)
            if oldest is None:
                yield self.form.heartbeat
                continue
            if after < oldest:
                if self._is_live:
                    yield self._parting(after, *_SLOW)
                    return
                for place, text in self._stored(after, oldest):
                    after = self.after = place
                    yield text
                continue
            self._is_live = True
            news = feed.after(after, _HEARTBEAT_S)
            if news is None:
                continue  # some of it went while we looked
            items, outcome = news
            if outcome is not None:
                yield self.form.event("end", outcome.fields)
                return
            text = "".join([item.encode(self.form, after, self.wanted) for item in items])
            after = items[-1].end if items else after
            yield text or self.form.heartbeat

    def _stored(self, after: Cursor, until: Cursor) -> Iterator[tuple[Cursor, str]]:
        """What is stored between two places, and where each piece of it ends."""
        with self.services.database.reading() as session:
            runs = repository.runs_between(session, self.strategy_id, after.epoch, until.epoch)
        for run in runs:
            place = max(after, Cursor(run.epoch, 0))
            for batch in self.services.logs.forward(run.run_id, place.number):
                text = encode(self.form, run.run_id, place, batch, self.wanted)
                place = Cursor(run.epoch, batch.last)
                yield place, text
                if place >= until:
                    return
        yield until, ""

    def _parting(self, after: Cursor, reason: str, message: str) -> str:
        fields = {"reason": reason, "message": message, "resume_after": str(after)}
        return self.form.event("notice", fields)

    def _start(self) -> Cursor:
        with self.services.database.reading() as session:
            row = repository.find(session, self.caller, self.strategy_id)
            return _start_of(session, row) if row is not None else Cursor(0, 0)


def _start_of(session: Session, row: Strategy) -> Cursor:
    """Where following begins: the present run, or the next one after a start by hand.

    Who starts a strategy and then follows it sees a crash that was faster than he was.
    """
    is_fresh_start = row.status == Status.QUEUED and row.status_reason in _FRESH
    was_never_over = row.restart_count == 0 and row.exit_code is None
    if row.epoch == 0 or (is_fresh_start and was_never_over):
        return Cursor(row.epoch + 1, 0)
    since_start = row.epoch - row.restart_count
    recent = repository.first_recent_epoch(
        session, row.strategy_id, since_start, database_now() - _RECENT_S
    )
    return Cursor(recent or row.epoch, 0)
