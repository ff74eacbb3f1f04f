"""Counts of the requests that this web process answers, or all workers of its gunicorn together."""

import time
from typing import Any

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RequestCounts:
    """By route (its pattern, never a path), method and status; callers cannot make new values."""

    def __init__(self) -> None:
        self._own = CollectorRegistry()
        self._answered = Counter(
            "sequence_http_requests",
            "Requests that were answered.",
            ("route", "method", "status"),
            registry=self._own,
        )
        self._seconds = Histogram(
            "sequence_http_request_seconds",
            "From the request to the head of its answer.",
            ("route", "method"),
            buckets=_BUCKETS_S,
            registry=self._own,
        )
        self._labelled: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    @property
    def registry(self) -> CollectorRegistry:
        """Of all workers, dead ones included, where several share a folder; else our own."""
        # deploy/gunicorn.conf.py names the folder before prometheus_client is imported.
        if not values.ValueClass._multiprocess:
            return self._own
        shared = CollectorRegistry()
        collector: Any = MultiProcessCollector
        collector(shared)
        return shared

    def init_app(self, app: Flask) -> None:
        """Count every request of this app."""

        @app.before_request
        def _begin() -> None:
            g.began_at = time.monotonic()

        @app.after_request
        def _count(response: Response) -> Response:
            rule, method = request.url_rule, request.method
            route = rule.rule if rule else "unmatched"
            method = method if method in _METHODS else "other"
            answered, seconds = self._of(route, method, response.status_code)
            answered.inc()
            began_at = g.get("began_at")
            if began_at is not None:
                seconds.observe(time.monotonic() - began_at)
            return response

    def _of(self, route: str, method: str, status: int) -> tuple[Counter, Histogram]:
        """Those with these labels: to find them costs more than to count."""
        found = self._labelled.get((route, method, status))
        if found is None:
            answered = self._answered.labels(route, method, str(status))
            found = answered, self._seconds.labels(route, method)
            self._labelled[route, method, status] = found
        return found
