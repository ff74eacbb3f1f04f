"""One thread that reads the pipes of all runs, in fair turns."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis
from support.owners import shipping
from support.waiting import wait_until

from app.logs import stream
from app.logs.stream import Line
from tasks.logs.capture import Capture
from tasks.logs.limits import UNLIMITED, Rate
from tasks.logs.reader import LogReader, reader_for
from tasks.logs.redaction import Redactor
from tasks.logs.shipper import LogShipper


class Writer:
    """A run's two pipes, written by the test."""

    def __init__(self, name: str, reader: LogReader, shipper: LogShipper, rate: Rate) -> None:
        self.run_log = shipper.open("strategy", name)
        self.ends = [os.pipe2(os.O_NONBLOCK) for _ in range(2)]
        self.capture = Capture(self.run_log, Redactor({"TOKEN": "hunter2"}), rate)
        self._reader = reader
        self.reading = reader.watch(self.capture, self.ends[0][0], self.ends[1][0])

    def say(self, text: str, channel: int = 0) -> None:
        os.write(self.ends[channel][1], text.encode())

    def end(self, within_s: float = 5.0) -> None:
        for _, writing in self.ends:
            os.close(writing)
        self._reader.finish(self.reading, within_s)
        for reading, _ in self.ends:
            os.close(reading)
        self.run_log.close("the end")


@pytest.fixture
def shipper(redis_url: str) -> Iterator[LogShipper]:
    with shipping(redis_url, max_lines=10**6) as made:
        yield made


@pytest.fixture
def reader() -> Iterator[LogReader]:
    made = LogReader()
    made.start()
    yield made
    made.close()
    assert not made.is_alive()


def stored(redis: Redis, writer: Writer) -> list[Line]:
    wait_until(lambda: writer.run_log.is_done, "everything is stored")
    return stream.read_after(redis, writer.run_log.run_id, 0, 10**6)


def test_what_is_written_is_stored(reader: LogReader, shipper: LogShipper, redis: Redis) -> None:
    writer = Writer("run", reader, shipper, UNLIMITED)
    writer.say("one\ntwo, half")
    writer.say("an error\n", channel=1)
    writer.end()
    lines = stored(redis, writer)
    assert [line.text for line in lines if line.channel == "stdout"] == ["one", "two, half"]
    assert [line.text for line in lines if line.channel == "stderr"] == ["an error"]
    assert lines[-1].text == "the end"
    assert all(line.ts_ms > 1.6e12 for line in lines)


def test_many_runs_do_not_mix(reader: LogReader, shipper: LogShipper, redis: Redis) -> None:
    writers = [Writer(f"run-{number}", reader, shipper, UNLIMITED) for number in range(20)]
    for turn in range(50):
        for writer in writers:
            writer.say(f"{writer.run_log.run_id} {turn}\n")
    for writer in writers:
        writer.end()
        said = [line.text for line in stored(redis, writer)[:-1]]
        assert said == [f"{writer.run_log.run_id} {turn}" for turn in range(50)]


def test_a_pipe_that_stays_open_is_not_waited_for(
    reader: LogReader, shipper: LogShipper, redis: Redis
) -> None:
    with ExitStack() as held:
        writer = Writer("run", reader, shipper, UNLIMITED)
        writer.say("one\n")
        kept = os.dup(writer.ends[0][1])
        held.callback(os.close, kept)
        writer.end(within_s=0.05)
        assert [line.text for line in stored(redis, writer)] == ["one", "the end"]


def test_a_flood_is_counted_and_its_neighbour_is_heard(
    reader: LogReader, shipper: LogShipper, redis: Redis
) -> None:
    flood = Writer("flood", reader, shipper, Rate(1000, 0, 1))
    calm = Writer("calm", reader, shipper, Rate(1000, 0, 1))
    written = 0
    for number in range(20):
        while written < (number + 1) * 2000:
            try:
                written += os.write(flood.ends[0][1], b"x\n" * 100) // 2
            except BlockingIOError:
                wait_until(lambda: _has_room(flood), "the flood is read")
        calm.say(f"calm {number}\n")
    calm.end()
    assert len(stored(redis, calm)) == 21
    flood.end()
    lines = stored(redis, flood)
    dropped = [int(line.text.split()[0]) for line in lines if "were dropped here" in line.text]
    assert dropped
    assert sum(dropped) + len([line for line in lines if line.text == "x"]) == written


def _has_room(writer: Writer) -> bool:
    return bool(select.select([], [writer.ends[0][1]], [], 0)[1])


def test_a_run_that_cannot_be_read_leaves_the_others(
    reader: LogReader, shipper: LogShipper, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Writer("broken", reader, shipper, UNLIMITED)
    fine = Writer("fine", reader, shipper, UNLIMITED)

    def fail() -> None:
        raise RuntimeError("on purpose")

    broken.capture.on_output = fail
    broken.say("one\n")
    wait_until(lambda: "log_not_read" in caplog.text, "it is told")
    fine.say("two\n")
    fine.end()
    assert [line.text for line in stored(redis, fine)] == ["two", "the end"]
    broken.end()
    assert stored(redis, broken)[-1].text == "the end"


def test_a_run_whose_masking_is_costly_has_a_reader_of_its_own(
    reader: LogReader, shipper: LogShipper, redis: Redis
) -> None:
    run_log = shipper.open("strategy", "costly")
    secret = "\n".join(f"line {number} of a key" for number in range(200))
    capture = Capture(run_log, Redactor({"KEY": secret}), UNLIMITED)
    reading, writing = os.pipe2(os.O_NONBLOCK)
    errors, quiet = os.pipe2(os.O_NONBLOCK)
    with reader_for(capture, reader) as own:
        assert own is not reader
        watched = own.watch(capture, reading, errors)
        os.write(writing, b"before\nline 17 of a key\n")
        os.close(writing)
        os.close(quiet)
        own.finish(watched, 5)
    assert not own.is_alive()
    os.close(reading)
    os.close(errors)
    run_log.close("the end")
    wait_until(lambda: run_log.is_done, "everything is stored")
    lines = [line.text for line in stream.read_after(redis, "costly", 0, 10)]
    assert lines == ["before", "[secret KEY]", "the end"]


def test_a_run_that_cannot_even_be_watched_leaves_the_others(
    reader: LogReader, shipper: LogShipper, redis: Redis, tmp_path: Path
) -> None:
    """As when the kernel has no watch left for it; here because a file is never waited for."""
    with ExitStack() as held:
        files = [os.open(tmp_path / name, os.O_CREAT) for name in ("stdout", "stderr")]
        for file in files:
            held.callback(os.close, file)
        run_log = shipper.open("strategy", "broken")
        capture = Capture(run_log, Redactor({}), UNLIMITED)
        broken = reader.watch(capture, *files)
        fine = Writer("fine", reader, shipper, UNLIMITED)
        fine.say("two\n")
        fine.end()
        assert [line.text for line in stored(redis, fine)] == ["two", "the end"]
        reader.finish(broken, 5.0)
        assert broken.is_over.is_set()
        run_log.close("")
