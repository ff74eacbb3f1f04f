"""Where HTTP itself is at fault: bodies that are too large, requests that are none; and headers."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.api import Web, body, error, web
from support.gunicorn_server import GunicornServer
from support.redis_server import RedisServer

SMALL_BYTES = 1 << 20


@pytest.fixture(scope="module")
def database_file(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Path:
    file = tmp_path_factory.mktemp("edges") / "sequence.db"
    shutil.copy(migrated_sqlite, file)
    return file


@pytest.fixture(scope="module")
def key(database_file: Path, redis_server: RedisServer) -> str:
    with web(f"sqlite:///{database_file}", redis_server.url) as one:
        return one.caller().key


@pytest.fixture(scope="module")
def followed(database_file: Path, redis_server: RedisServer) -> tuple[str, str]:
    """The id of a strategy, and a key of its owner."""
    with web(f"sqlite:///{database_file}", redis_server.url) as one:
        owner = one.caller()
        return owner.created()["strategy_id"], owner.key


@pytest.fixture(scope="module")
def server(database_file: Path, redis_server: RedisServer) -> Iterator[GunicornServer]:
    environ = {"DATABASE_URL": f"sqlite:///{database_file}", "REDIS_URL": redis_server.url}
    with GunicornServer(database_file.parent, ARTIFACT_MAX_BYTES=2 << 20, **environ) as one:
        yield one


def exchange(server: GunicornServer, *parts: bytes) -> tuple[int, dict[str, str], Any]:
    """What comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, names, json.loads(answer.read())


class TestWhatIsNoRequest:
    @pytest.mark.parametrize(
        ("sent", "status", "code"),
        [
            (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414, "URI_TOO_LONG"),
            (b"nonsense\r\n\r\n", 400, "BAD_REQUEST"),
            (b"GET / HTTP/9.9\r\n\r\n", 400, "BAD_REQUEST"),
            (b"GET / HTTP/1.1\r\nAuthorization : Bearer secret-word\r\n\r\n", 400, "BAD_REQUEST"),
            (b"GET / HTTP/1.1\r\nA: " + b"b" * 9000 + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
            (
                b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: rot13\r\n\r\n",
                501,
                "NOT_IMPLEMENTED",
            ),
        ],
        ids=["line", "nonsense", "version", "header", "headers", "coding"],
    )
    def test_it_has_our_envelope(
        self, server: GunicornServer, sent: bytes, status: int, code: str
    ) -> None:
        found, headers, answer = exchange(server, sent)
        assert found == status
        assert answer["error"]["code"] == code
        assert set(answer["error"]) == {"code", "message", "request_id", "details"}
        assert headers["x-request-id"] == answer["error"]["request_id"]
        assert headers["content-type"] == "application/json"
        assert headers["x-content-type-options"] == "nosniff"

    def test_its_words_are_in_no_log(self, server: GunicornServer) -> None:
        sent = b"GET / HTTP/1.1\r\nAuthorization : Bearer secret-word-2\r\n\r\n"
        assert exchange(server, sent)[0] == 400
        assert "secret-word" not in server.said


class TestBodies:
    def test_a_length_that_is_too_much_is_refused_before_a_byte_of_it(
        self, server: GunicornServer
    ) -> None:
        for path, most in (("/v1/api_keys", SMALL_BYTES), ("/v1/strategies", 4 << 20)):
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            status, _, answer = exchange(
                server, f"{head}Content-Length: {most + 1}\r\n\r\n".encode()
            )
            assert status == 413
            assert answer["error"]["code"] == "PAYLOAD_TOO_LARGE"

    def test_a_chunked_body_is_counted(self, server: GunicornServer, key: str) -> None:
        head = f"POST /v1/api_keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        large = json.dumps({"label": "x" * SMALL_BYTES}).encode()
        chunk = f"{len(large):x}\r\n".encode() + large + b"\r\n0\r\n\r\n"
        status, _, answer = exchange(server, head.encode(), chunk)
        assert (status, answer["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
        assert str(SMALL_BYTES) in answer["error"]["message"]

    def test_a_chunked_body_that_is_small_is_taken(self, server: GunicornServer) -> None:
        text = json.dumps({"label": "x"}).encode()
        head = b"POST /v1/api_keys HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        chunk = f"{len(text):x}\r\n".encode() + text + b"\r\n0\r\n\r\n"
        status, _, answer = exchange(server, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        assert (status, answer["error"]["code"]) == (401, "UNAUTHORIZED")

    def test_a_chunked_body_that_is_not_json_is_refused(self, server: GunicornServer) -> None:
        head = b"POST /v1/api_keys HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        status, _, answer = exchange(server, head + b"1\r\na\r\n0\r\n\r\n")
        assert (status, answer["error"]["code"]) == (400, "BAD_REQUEST")

    @pytest.mark.parametrize(
        "chunks",
        [b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n0\r\n\r\n", b"2\r\n{}0\r\n\r\n"],
        ids=["no size", "a negative size", "no end of line"],
    )
    def test_chunks_that_cannot_be_read_are_refused(
        self, server: GunicornServer, key: str, chunks: bytes
    ) -> None:
        head = f"POST /v1/api_keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        status, _, answer = exchange(server, head.encode(), chunks)
        assert (status, answer["error"]["code"]) == (400, "BAD_REQUEST")
        assert "chunked" in answer["error"]["message"]

    def test_an_artifact_may_be_larger_than_other_bodies(self, web_process: Web) -> None:
        given = body(manifest={"note": "x" * SMALL_BYTES})
        assert web_process.caller().post(json=given).status_code == 201
        patch = web_process.caller().call("PATCH", "/strategies/x", json=given)
        error(patch, 413, "PAYLOAD_TOO_LARGE")


class TestFollowers:
    def test_what_one_sends_meanwhile_is_not_kept(
        self, server: GunicornServer, followed: tuple[str, str]
    ) -> None:
        """Each byte may keep a page of 32 KB; a strategy may follow by hundreds of connections."""
        strategy_id, key = followed
        head = f"GET /v1/strategies/{strategy_id}/logs?follow=true HTTP/1.1\r\n"
        head += f"Host: x\r\nAuthorization: Bearer {key}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            connection.sendall(head.encode())
            assert b" 200 OK\r\n" in connection.recv(4096)
            sent_bytes = 0
            connection.settimeout(1)
            with pytest.raises(TimeoutError):
                while sent_bytes < 16 << 20:
                    sent_bytes += connection.send(bytes(64 << 10))
            assert sent_bytes < 128 << 10


class TestHeaders:
    def test_every_answer_has_them(self, web_process: Web) -> None:
        caller = web_process.caller()
        for answer in (caller.get(), caller.get("/nowhere"), caller.get("/health/live")):
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "Strict-Transport-Security" not in answer.headers

    def test_the_page_may_be_kept_and_framed_by_nobody(self, web_process: Web) -> None:
        answer = web_process.flask.test_client().get("/v1/docs")
        assert answer.headers["Cache-Control"] == "no-cache"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]

    @pytest.mark.parametrize(("hops", "expected"), [(0, None), (1, "max-age=31536000")])
    def test_https_is_to_be_kept_where_a_proxy_speaks_it(
        self, sqlite_url: str, redis_url: str, hops: int, expected: str | None
    ) -> None:
        with web(sqlite_url, redis_url, PROXY_HOPS=hops) as one:
            answer = one.flask.test_client().get(
                "/v1/health/live", headers={"X-Forwarded-Proto": "https"}
            )
        assert answer.headers.get("Strict-Transport-Security") == expected
