"""One HTTP connection pool with a key: JSON in, JSON out."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3

from sequence_cli.api.errors import ApiRefusalError, ApiUnreachableError, refusal, unreachable
from sequence_cli.connection import Connection
from sequence_cli.errors import CliError

Query = Mapping[str, str | Sequence[str]]
"""Parameters of a request; a list is a parameter that is repeated."""

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
REPEAT_PAUSES_S = (0.5, 1.0)


@dataclass(frozen=True)
class _Request:
    """``target`` is path and query; ``stream_idle_s`` is set when the body is read piecemeal."""

    method: str
    target: str
    headers: Mapping[str, str]
    content: bytes | None = None
    stream_idle_s: float | None = None


class ApiClient:
    """Sends requests below ``connection.api_url``; every failure is a CliError.

    ApiUnreachableError when no answer came, ApiRefusalError for a status of 300 or more, plain
    CliError for an answer that is not a JSON object. Redirects are not followed: they would
    carry the key to another host.
    """

    def __init__(self, connection: Connection, pause: Callable[[float], None] = time.sleep):
        self._connection = connection
        self._pause = pause
        self._pool = urllib3.PoolManager(retries=False)

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """One request; the answer's JSON object, ``{}`` for an empty body."""
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        extra = {} if content is None else {"Content-Type": "application/json"}
        target = _target(path, query)
        response = self._send(_Request(method, target, {**extra, **(headers or {})}, content))
        return self._object(response.status, response.data)

    def call_repeatedly(
        self, method: str, path: str, *, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Like ``call``, up to three times while the failure may pass.

        Only for requests that are safe to arrive twice (an ``Idempotency-Key``).
        """
        for pause_s in REPEAT_PAUSES_S:
            try:
                return self.call(method, path, body=body, headers=headers)
            except (ApiUnreachableError, ApiRefusalError) as error:
                if not error.temporary:
                    raise
            self._pause(pause_s)
        return self.call(method, path, body=body, headers=headers)

    def open_stream(
        self, path: str, *, query: Query, headers: Mapping[str, str], idle_s: float
    ) -> urllib3.BaseHTTPResponse:
        """An answer whose body is read as it arrives; ``idle_s`` without a byte ends it."""
        request = _Request("GET", _target(path, query), headers, stream_idle_s=idle_s)
        response = self._send(request)
        content_type = response.headers.get("Content-Type", "")
        if not content_type.startswith("text/event-stream"):
            response.close()
            raise CliError(
                f"{self._connection.api_url}{path} answered with {content_type or 'no type'} "
                "instead of an event stream: the server is older than this command"
            )
        return response

    def pause(self, seconds: float) -> None:
        self._pause(seconds)

    def unreachable(self, error: urllib3.exceptions.HTTPError) -> ApiUnreachableError:
        """The CliError for a failure while a stream was being read."""
        return unreachable(self._connection.api_url, error)

    def _send(self, request: _Request) -> urllib3.BaseHTTPResponse:
        """The answer, its body read unless it is a stream. Raises for a status from 300 on."""
        api_url = self._connection.api_url
        idle_s = request.stream_idle_s
        try:
            response = self._pool.request(
                request.method,
                api_url + request.target,
                body=request.content,
                headers={
                    "Accept": "application/json",
                    "User-Agent": "sequence-cli",
                    **request.headers,
                    "Authorization": f"Bearer {self._connection.api_key}",
                },
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=idle_s or READ_TIMEOUT_S),
                redirect=False,
                preload_content=False,
            )
            if response.status >= 300 or idle_s is None:
                response.read(cache_content=True)
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(api_url, error, len(request.content or b"")) from error
        if response.status >= 300:
            retry_after = response.headers.get("Retry-After")
            raise refusal(api_url, response.status, response.data, retry_after)
        return response

    def _object(self, status: int, content: bytes) -> dict[str, Any]:
        if not content:
            return {}
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise CliError(
                f"{self._connection.api_url} answered with HTTP {status} and something that is "
                "no JSON object: is this the address of a Sequence API? "
                "Check --api-url or SEQUENCE_API_URL"
            )
        return answer


def _target(path: str, query: Query | None) -> str:
    return f"{path}?{urlencode(query, doseq=True)}" if query else path
