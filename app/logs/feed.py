"""One reader of a strategy's log for all of its followers in this process.

A feed walks along the log in a thread of its own and keeps the newest part of it. Followers take
from there; each line is encoded once for all of them. Who comes late catches up from what is
stored; who falls behind what is kept is let go and may come back: slowness costs no memory.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.database import Database
from app.logs.cursor import Cursor
from app.logs.filters import Filter
from app.logs.formats import Format
from app.logs.records import gap_line, with_gap
from app.logs.source import LogSource
from app.logs.stream import Batch
from app.logs.tail import News, Outcome, Tail

log = logging.getLogger(__name__)

AWAY_ERRORS = (RedisError, OperationalError, InterfaceError, PoolTimeoutError)
"""What a follower survives by trying again."""

_KEPT_BYTES = 2 << 20
_AWAY_PAUSE_S = 1.0


@dataclass
class Item:
    """Some lines of one run, behind `start`; `end` is the cursor behind the last of them."""

    run_id: str
    start: Cursor
    batch: Batch
    _encoded: dict[str, str] = field(default_factory=dict)

    @property
    def end(self) -> Cursor:
        """Behind the last line."""
        return Cursor(self.start.epoch, self.batch.last)

    @property
    def size_bytes(self) -> int:
        """About what it takes to keep it."""
        return 512 + sum(len(block.data) for block in self.batch.blocks)

    def encode(self, form: Format, after: Cursor, wanted: Filter) -> str:
        """The lines behind `after`; the same text for all who want all of them."""
        if after > self.start or wanted != Filter():
            return encode(form, self.run_id, max(after, self.start), self.batch, wanted)
        if form.mimetype not in self._encoded:
            whole = encode(form, self.run_id, self.start, self.batch, wanted)
            self._encoded[form.mimetype] = whole
        return self._encoded[form.mimetype]


def encode(form: Format, run_id: str, after: Cursor, batch: Batch, wanted: Filter) -> str:
    """Those lines of a batch behind `after` that are wanted, with a word on missing ones."""
    if wanted == Filter():
        return form.lines(after.epoch, run_id, with_gap(batch, after.number))
    lines = [
        line
        for first, block in batch.numbered()
        for line in wanted.lines(first, block)
        if line.number > after.number
    ]
    if wanted.shows_gaps and batch.first > after.number + 1 and wanted.since_ms <= _ts_ms(batch):
        lines.insert(0, gap_line(after.number + 1, batch.first - 1, _ts_ms(batch)))
    return form.lines(after.epoch, run_id, lines)


def _ts_ms(batch: Batch) -> int:
    return batch.blocks[0].ts_ms


class Feed(threading.Thread):
    """The newest part of one strategy's log, and how it ended, if it did."""

    def __init__(self, tail: Tail) -> None:
        super().__init__(name=f"feed-{tail.strategy_id[:8]}", daemon=True)
        self.followers = 0
        self.tail = tail
        self.is_closing = False
        self._items: deque[Item] = deque()
        self._kept_bytes = 0
        self._from: Cursor | None = None
        self._outcome: Outcome | None = None
        self._changed = threading.Condition()

    def run(self) -> None:
        """Walk along until the last follower is gone."""
        while self.followers:
            try:
                if self._from is None:
                    self._begin(self.tail.begin())
                news = self.tail.step()
                self._publish(news)
                if news.outcome is not None and self.followers:
                    self.tail.wait()  # for a start, or for the last of them to leave
            except AWAY_ERRORS as error:
                log.warning("follow_interrupted", extra={"error": type(error).__name__})
                threading.Event().wait(_AWAY_PAUSE_S)
                self.tail.wait_for_runners()
            except Exception:
                log.exception("feed_broken")
                threading.Event().wait(_AWAY_PAUSE_S)

    def beginning(self, wait_s: float) -> Cursor | None:
        """Before the oldest line that is kept; None when there is no answer yet."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_closing or self._from is not None, wait_s)
            return self._from

    def after(self, place: Cursor, wait_s: float) -> tuple[Sequence[Item], Outcome | None] | None:
        """Items with lines behind `place`, and the outcome for one who is there.

        Waits for either for up to `wait_s`. An outcome only comes alone. None when some lines
        behind `place` are not kept here any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.is_closing or self._has(place), wait_s)
            if self._from is None or place < self._from:
                return None
            items = [item for item in self._items if item.end > place]
            return items, None if items else self._outcome_at(place)

    def let_go(self) -> None:
        """Wake every follower to say goodbye."""
        with self._changed:
            self.is_closing = True
            self._changed.notify_all()

    def _has(self, place: Cursor) -> bool:
        has_lines = bool(self._items) and self._items[-1].end > place
        return has_lines or self._outcome_at(place) is not None

    def _outcome_at(self, place: Cursor) -> Outcome | None:
        outcome = self._outcome
        if outcome is None or outcome.epoch is None or outcome.epoch >= place.epoch:
            return outcome
        return None  # it waits for a later run

    def _begin(self, place: Cursor) -> None:
        with self._changed:
            self._from = place
            self._changed.notify_all()

    def _publish(self, news: News) -> None:
        with self._changed:
            if news.run is not None and news.after is not None:
                start = news.after
                for batch in news.batches:
                    item = Item(news.run.run_id, start, batch)
                    self._items.append(item)
                    self._kept_bytes += item.size_bytes
                    start = item.end
            while self._kept_bytes > _KEPT_BYTES and len(self._items) > 1:
                gone = self._items.popleft()
                self._kept_bytes -= gone.size_bytes
                self._from = gone.end
            self._outcome = news.outcome
            self._changed.notify_all()


@dataclass
class Feeds:
    """The feeds of this process, one for each strategy that somebody follows."""

    database: Database
    redis: Redis
    source: LogSource
    is_closing: bool = False
    _feeds: dict[str, Feed] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def let_go(self) -> None:
        """This process ends: who follows is told, and has to connect again."""
        with self._lock:
            self.is_closing = True
            feeds = list(self._feeds.values())
        for feed in feeds:
            feed.let_go()

    @contextmanager
    def following(self, strategy_id: str) -> Iterator[Feed]:
        """The strategy's feed, for as long as somebody follows it."""
        with self._lock:
            feed = self._feeds.get(strategy_id)
            if feed is None:
                feed = Feed(Tail(self.database, self.redis, self.source, strategy_id))
                feed.is_closing = self.is_closing
                self._feeds[strategy_id] = feed
            feed.followers += 1
            if feed.followers == 1:
                feed.start()
        try:
            yield feed
        finally:
            with self._lock:
                feed.followers -= 1
                if not feed.followers:
                    # It ends by itself; whoever comes next has a new one.
                    del self._feeds[strategy_id]
