"""What can go wrong between this command and the API, in words that say what to do."""

import json
from collections.abc import Iterable
from typing import Any

from urllib3 import exceptions

from sequence_cli.errors import CliError

_LARGE_REQUEST_BYTES = 1_000_000
_SIZE_HINT = "the request had {:.1f} MB: it may be above the server's limit (see .sequenceignore)"


class ApiUnreachableError(CliError):
    """No answer came. ``temporary``: trying again may help."""

    def __init__(self, message: str, details: Iterable[str] = (), *, temporary: bool) -> None:
        super().__init__(message, details)
        self.temporary = temporary


class ApiRefusalError(CliError):
    """The API answered, with a status that is no success."""

    def __init__(self, status: int, message: str, details: Iterable[str] = ()) -> None:
        super().__init__(message, details)
        self.status = status

    @property
    def temporary(self) -> bool:
        return self.status in (502, 503, 504)


def unreachable(
    api_url: str, error: exceptions.HTTPError, sent_bytes: int = 0
) -> ApiUnreachableError:
    """Translate a failure of the transport; ``sent_bytes`` is the size of the request's body."""
    where = f"the API at {api_url}"
    check = "check --api-url or SEQUENCE_API_URL"
    if isinstance(error, exceptions.NameResolutionError | exceptions.LocationValueError):
        # A laptop that was offline for a moment finds the name again; a malformed one never.
        temporary = isinstance(error, exceptions.NameResolutionError)
        return ApiUnreachableError(f"cannot find the host of {where}: {check}", temporary=temporary)
    if isinstance(error, exceptions.SSLError):
        why = _innermost(error)
        text = f"no secure connection to {where} ({why}): {check} and the server's certificate"
        return ApiUnreachableError(text, temporary=False)
    if isinstance(error, exceptions.ConnectTimeoutError) and not isinstance(
        error, exceptions.NewConnectionError
    ):
        text = f"{where} did not accept a connection in time: {check} and your network"
        return ApiUnreachableError(text, temporary=True)
    if isinstance(error, exceptions.ReadTimeoutError):
        text = f"{where} took too long to answer: try again, or ask its operator whether it is up"
        return ApiUnreachableError(text, temporary=True)
    if isinstance(error, exceptions.NewConnectionError):
        text = f"cannot connect to {where} ({_innermost(error)}): is it running? If so, {check}"
        return ApiUnreachableError(text, temporary=True)
    text = f"the connection to {where} broke off ({_innermost(error)}): try again"
    # A server that refuses a large body may hang up before its 413 can be read.
    hints = [_SIZE_HINT.format(sent_bytes / 1e6)] if sent_bytes > _LARGE_REQUEST_BYTES else []
    return ApiUnreachableError(text, hints, temporary=True)


def refusal(api_url: str, status: int, content: bytes, retry_after: str | None) -> ApiRefusalError:
    """Translate an answer with a status of 300 or more, by the contract's error envelope."""
    if 300 <= status < 400:
        return ApiRefusalError(
            status,
            f"{api_url} redirects elsewhere (HTTP {status}): give the API's final address "
            "with --api-url or SEQUENCE_API_URL",
        )
    envelope = _envelope(content)
    message = envelope.get("message")
    if not isinstance(message, str) or not message:
        message = f"{api_url} answered with HTTP {status} and no readable message"
    # A single wrong field is often the whole message already.
    details = [line for line in _field_lines(envelope) if line != message]
    if isinstance(envelope.get("request_id"), str):
        details.append(f"request id: {envelope['request_id']}")
    advice = _advice(status, retry_after)
    return ApiRefusalError(status, message, [*details, advice] if advice else details)


def _envelope(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


def _field_lines(envelope: dict[str, Any]) -> Iterable[str]:
    details = envelope.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict):
            yield f"{detail.get('field', '?')}: {detail.get('message', '')}"


def _advice(status: int, retry_after: str | None) -> str:
    if status == 401:
        return "the key was refused: run `sequence login`, or correct SEQUENCE_API_KEY"
    if status == 413:
        return "make the artifact smaller: list what the strategy does not need in .sequenceignore"
    if status == 429:
        wait = f"in {retry_after} s" if retry_after else "in a few seconds"
        return f"too many requests: try again {wait}"
    if status >= 500:
        return (
            f"the fault is the server's (HTTP {status}): try again; if it stays, tell its operator"
        )
    return ""


def _innermost(error: BaseException) -> str:
    """The reason without the layers around it: ``Connection refused``."""
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
