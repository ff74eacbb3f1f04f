"""What answers tell browsers and caches: to keep, frame and guess nothing of them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from app.api.answer_headers import ON_EVERY_ANSWER

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HSTS = ("Strict-Transport-Security", "max-age=31536000")


class SecurityHeaders:
    """The application, with what a view did not set itself on each of its answers."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        is_secure = environ["wsgi.url_scheme"] == "https"

        def protected(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            present = {name.lower() for name, _ in headers}
            headers.extend(
                (name, value)
                for name, value in ON_EVERY_ANSWER.items()
                if name.lower() not in present
            )
            if is_secure:
                headers.append(_HSTS)
            return start(status, headers, *error)

        return self._application(environ, protected)
