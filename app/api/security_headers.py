"""What answers tell browsers and caches: to keep, frame and guess nothing of them."""

from flask import Flask, Response, request

from app.api.answer_headers import ON_EVERY_ANSWER

_HSTS = "max-age=31536000"


def init_app(app: Flask) -> None:
    """Set what a view did not set itself."""

    @app.after_request
    def _protect(response: Response) -> Response:
        for name, value in ON_EVERY_ANSWER.items():
            response.headers.setdefault(name, value)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = _HSTS
        return response
