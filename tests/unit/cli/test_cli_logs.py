"""Logs: paging, following across cut connections, and the three ways of printing."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cli_api_server import (
    RUN_ID,
    STRATEGY_ID,
    Answer,
    LocalApi,
    Received,
    Stream,
    error_answer,
    strategy_row,
)
from cli_samples import KEY
from hypothesis import given, settings
from hypothesis import strategies as st

from sequence_cli.api.client import ApiClient
from sequence_cli.api.event_stream import Event, EventParser
from sequence_cli.api.follow import FollowEnd, FollowPolicy, LogFollower, LogRecord
from sequence_cli.connection import Connection
from sequence_cli.errors import CliError
from sequence_cli.output.log_lines import LogFormat, LogPrinter
from sequence_cli.output.terminal_text import visible

LOGS = f"/v1/strategies/{STRATEGY_ID}/logs"
PROMPT = FollowPolicy(idle_s=30, first_pause_s=0.001, longest_pause_s=0.005, give_up_s=30)


def record(number: int, line: str = "", stream: str = "stdout") -> dict:
    return {
        "id": f"3-{number}",
        "run_id": RUN_ID,
        "ts_ms": 1777414125123 + number,
        "stream": stream,
        "line": line or f"line {number}",
    }


def event(number: int, line: str = "", stream: str = "stdout") -> bytes:
    data = json.dumps(record(number, line, stream), ensure_ascii=False)
    return f"id: 3-{number}\nevent: log\ndata: {data}\n\n".encode()


def end(status: str = "stopped", exit_code: int | None = 0, reason: str = "completed") -> bytes:
    fields = {"status": status, "status_reason": reason, "exit_code": exit_code, "run_id": RUN_ID}
    return f"event: end\ndata: {json.dumps(fields)}\n\n".encode()


@pytest.fixture
def named(api: LocalApi) -> LocalApi:
    api.answer("GET", "/v1/strategies", Answer({"strategies": [strategy_row()]}))
    return api


def pages_of(total: int, size: int):
    """A log endpoint with ``total`` records and pages of ``size``."""

    def answer(request: Received) -> Answer:
        start = int(request.query.get("after", "3-0").removeprefix("3-"))
        numbers = range(start + 1, min(start + size, total) + 1)
        following = f"3-{numbers[-1]}" if numbers and numbers[-1] < total else None
        return Answer({"logs": [record(n) for n in numbers], "next_after": following})

    return answer


@pytest.mark.parametrize(("total", "requests"), [(0, 1), (3, 1), (10, 4)])
def test_pages_until_there_are_no_more(total: int, requests: int, named: LocalApi, run) -> None:
    named.answer("GET", LOGS, pages_of(total, 3))
    result = run("strategy", "logs", "heartbeat", "--run", RUN_ID)
    assert result.status == 0, result.err
    assert result.out.splitlines() == [f"line {n}" for n in range(1, total + 1)]
    asked = [request for request in named.received if request.path == LOGS]
    assert len(asked) == requests
    assert {request.query["run_id"] for request in asked} == {RUN_ID}


def test_pipe_gets_raw_lines_and_stderr_the_platforms(named: LocalApi, run) -> None:
    lines = [record(1, '{"event": "beat"}'), record(2, "run started", "system")]
    lines += [record(3, "Traceback", "stderr"), record(4, "\x1b[31mred\ud800")]
    named.answer("GET", LOGS, Answer({"logs": lines, "next_after": None}))
    result = run("strategy", "logs", "heartbeat")
    assert result.out == '{"event": "beat"}\nTraceback\n\x1b[31mred\\ud800\n'
    assert result.err == "run started\n"


def test_json_prints_whole_records(named: LocalApi, run) -> None:
    lines = [record(1, "a"), record(2, "b", "system")]
    named.answer("GET", LOGS, Answer({"logs": lines, "next_after": None}))
    result = run("strategy", "logs", STRATEGY_ID, "--json")
    assert [json.loads(line) for line in result.out.splitlines()] == lines
    assert [request.path for request in named.received] == [LOGS]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain", "plain"),
        ('{"ts": 1.5, "event": "beat", "n": 3, "s": "a b", "t": "x"}', 'beat n=3 s="a b" t=x'),
        ('{"event": "nested", "o": {"k": [1, null]}, "e": ""}', 'nested o={"k":[1,null]} e=""'),
        ('{"no": "event"}', '{"no": "event"}'),
        ('{"event": 5}', '{"event": 5}'),
        ("{broken", "{broken"),
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        ('{"event": "\\u001b[2J", "a": "\\u009b1m\\r\\n"}', "\\x1b[2J a=\\x9b1m\\x0d\\x0a"),
        ("a\tb\u202etxt.exe\u2028c", "a\tb\\u202etxt.exe\\u2028c"),
    ],
)
def test_terminal_lines(line: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    LogPrinter(LogFormat.TERMINAL, colour=False).show(record(0, line))
    clock = time.strftime("%H:%M:%S", time.localtime(1777414125))
    assert capsys.readouterr().out == f"{clock}.123 {shown}\n"


@pytest.mark.parametrize(
    ("stream", "code"), [("stdout", None), ("stderr", "\x1b[31m"), ("system", "\x1b[33m")]
)
def test_terminal_colours(stream: str, code: str | None, capsys) -> None:
    LogPrinter(LogFormat.TERMINAL, colour=True).show(record(0, "text\x1b[5m", stream))
    out = capsys.readouterr().out
    assert "text\\x1b[5m" in out
    assert code is None or code in out
    assert ("\x1b[3" in out) is (code is not None)


@given(st.text())
def test_no_control_character_survives(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable() or all(c.isprintable() or not _moves_cursor(c) for c in shown)


def _moves_cursor(character: str) -> bool:
    code = ord(character)
    return code < 32 or 127 <= code < 160 or character in "\u2028\u2029\u202e"


# --- following ---


def test_follow_resumes_after_a_cut_in_the_middle_of_an_event(named: LocalApi, run) -> None:
    half = event(3)[:-25]
    named.answer(
        "GET",
        LOGS,
        Stream((b": hello\n\n", event(1), event(2) + half)),
        Answer(drop=True),
        error_answer(503, "SERVICE_UNAVAILABLE", "restarting"),
        Stream((event(3), event(4, "bye", "system"), end())),
    )
    result = run("strategy", "logs", "heartbeat", "--follow")
    assert result.status == 0, result.err
    assert result.out.splitlines() == ["line 1", "line 2", "line 3"]
    notes = result.err.splitlines()
    assert [note for note in notes if "resuming" in note] == notes[:1]
    assert notes[1:] == ["bye", "note: the strategy is stopped (completed)"]
    asked = [request for request in named.received if request.path == LOGS]
    assert [request.headers.get("last-event-id") for request in asked] == [None, *["3-2"] * 3]
    assert all(request.headers["accept"] == "text/event-stream" for request in asked)
    assert all(request.query == {"follow": "true"} for request in asked)


@pytest.mark.parametrize("cut", range(0, len(event(2)), 7))
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "until-close"])
def test_no_gap_and_no_repeat_wherever_it_is_cut(cut: int, chunked: bool, api: LocalApi) -> None:
    first = Stream((event(1), event(2)[:cut]), chunked)
    api.answer("GET", LOGS, first, Stream((event(2), event(3), end()), chunked))
    items = list(follower(api))
    lines = [item.fields["line"] for item in items if isinstance(item, LogRecord)]
    assert lines == ["line 1", "line 2", "line 3"]
    assert items[-1] == FollowEnd("stopped", "completed", 0)


def follower(
    api: LocalApi, notices: list[str] | None = None, policy: FollowPolicy = PROMPT
) -> LogFollower:
    client = ApiClient(Connection(api.url, KEY))
    notice = (notices if notices is not None else []).append
    return LogFollower(client, STRATEGY_ID, notice, policy)


def test_lines_come_at_once(api: LocalApi) -> None:
    api.answer("GET", LOGS, Stream((event(1),), hold=True))
    lines: Iterator[object] = iter(follower(api))
    assert next(lines) == LogRecord(record(1))  # while the server still holds the answer open
    lines.close()


def test_silence_counts_as_a_lost_connection(api: LocalApi) -> None:
    api.answer("GET", LOGS, Stream((event(1),), hold=True), Stream((end(),)))
    notices: list[str] = []
    items = list(follower(api, notices, replace(PROMPT, idle_s=0.5)))
    assert [type(item) for item in items] == [LogRecord, FollowEnd]
    assert len(notices) == 1


def test_gives_up_when_the_api_stays_away(api: LocalApi) -> None:
    api.answer("GET", LOGS, Stream((event(1),)), Answer(drop=True))
    with pytest.raises(CliError, match="has been away for 0 s"):
        list(follower(api, policy=replace(PROMPT, give_up_s=0.3)))


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (error_answer(404, "NOT_FOUND", "no such strategy"), "no such strategy"),
        (error_answer(401, "UNAUTHORIZED", "key revoked"), "key revoked"),
    ],
)
def test_refusal_ends_a_follow(refusal: Answer, message: str, api: LocalApi) -> None:
    api.answer("GET", LOGS, Stream((event(1),)), refusal)
    with pytest.raises(CliError, match=message):
        list(follower(api))


def test_first_connection_must_succeed(named: LocalApi, run) -> None:
    named.answer("GET", LOGS, error_answer(503, "SERVICE_UNAVAILABLE", "no log store"))
    result = run("strategy", "logs", "heartbeat", "-f")
    assert result.status == 1
    assert "error: no log store" in result.err


def test_server_without_streams(named: LocalApi, run) -> None:
    named.answer("GET", LOGS, Answer({"logs": []}))
    result = run("strategy", "logs", "heartbeat", "-f")
    assert result.status == 1
    assert "instead of an event stream" in result.err


def test_unreadable_event(named: LocalApi, run) -> None:
    named.answer("GET", LOGS, Stream((b"event: log\ndata: {oops\n\n",)))
    result = run("strategy", "logs", "heartbeat", "-f")
    assert result.status == 1
    assert "cannot read (log)" in result.err


@pytest.mark.parametrize(
    ("status", "exit_code", "expected"),
    [
        ("stopped", 0, 0),
        ("stopped", 143, 0),
        ("failed", 7, 7),
        ("failed", None, 1),
        ("failed", 0, 1),
        ("failed", -9, 137),
        ("failed", 3000, 255),
    ],
)
def test_exit_status(status: str, exit_code: int | None, expected: int, named, run) -> None:
    named.answer("GET", LOGS, Stream((event(1), end(status, exit_code, "exit_nonzero"))))
    result = run("strategy", "logs", "heartbeat", "-f", "--json")
    assert result.status == expected
    assert json.loads(result.out) == record(1)


# --- the parser ---


def test_parser_follows_the_standard() -> None:
    parser = EventParser()
    stream = b"\xef\xbb\xbf: bom and comment\r\nid:7\r\nevent:log\rdata:a\ndata: b\n\n"
    stream += b"data\n\nretry: 5\nevent: none\n\nid\ndata:  x\nunknown: y\n\nid: 8\ndata: lost\n"
    events = parser.feed(stream)
    assert events == [
        Event("log", "a\nb", "7"),
        Event("message", "", "7"),
        Event("message", " x", ""),
    ]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=5), st.data())
def test_any_chunking_gives_the_same_events(lines: list[str], data: st.DataObject) -> None:
    stream = b"".join(event(number, line) for number, line in enumerate(lines))
    stream = stream.replace(b"\n", data.draw(st.sampled_from([b"\n", b"\r\n"])))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    parser = EventParser()
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    events = [found for part in parts for found in parser.feed(part)]
    assert [json.loads(found.data) for found in events] == [
        record(number, line) for number, line in enumerate(lines)
    ]


# --- conditions ---


def test_conditions_are_sent_and_every_page_is_read(named: LocalApi, run) -> None:
    pages = [
        Answer({"logs": [record(1)], "next_after": "3-1"}),
        Answer({"logs": [], "next_after": "3-900"}),
        Answer({"logs": [record(950)], "next_after": None}),
    ]
    named.answer("GET", LOGS, *pages)
    options = ["--since", "10m", "--grep", "x y", "--where", "event=filled", "--where", "qty>5"]
    result = run("strategy", "logs", "heartbeat", "--all-runs", *options)
    assert result.out.splitlines() == ["line 1", "line 950"], result.err
    asked = [request for request in named.received if request.path == LOGS]
    assert [request.query.get("after") for request in asked] == [None, "3-1", "3-900"]
    for request in asked:
        assert request.query["run_id"] == "all"
        assert request.query["order"] == "asc"
        assert request.query["since"] == "10m"
        assert request.query["grep"] == "x y"
        assert request.query["where"] in ("event=filled", "qty>5")


def test_conditions_go_with_a_follow(named: LocalApi, run) -> None:
    named.answer("GET", LOGS, Stream((event(1), end())))
    result = run("strategy", "logs", "heartbeat", "--follow", "--grep", "x", "--since", "2h")
    assert result.status == 0, result.err
    [asked] = [request for request in named.received if request.path == LOGS]
    assert asked.query == {"follow": "true", "grep": "x", "since": "2h"}


def test_a_notice_of_the_server_leads_to_another_connection(named: LocalApi, run) -> None:
    slow = b'event: notice\ndata: {"reason": "slow", "resume_after": "3-1"}\n\n'
    named.answer("GET", LOGS, Stream((event(1), slow)), Stream((event(2), end())))
    result = run("strategy", "logs", "heartbeat", "--follow")
    assert result.status == 0, result.err
    assert result.out.splitlines() == ["line 1", "line 2"]


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("option", [("--run", RUN_ID), ("--all-runs",)])
def test_past_runs_are_not_followed(option: tuple[str, ...], run) -> None:
    result = run("strategy", "logs", "heartbeat", "--follow", *option)
    assert result.status == 2
    assert f"{option[0]} shows past runs" in result.err
