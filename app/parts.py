"""What another package adds to the web process: `app` imports none of them, an entry point does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Flask

from app.settings import Settings

PARTS = "parts"
"""The extension of the Flask app that holds its parts."""


@dataclass(frozen=True)
class Part:
    """Routes with what they need.

    Attributes:
        blueprints: of flask-smorest.
        attach: puts the part's own services and error handlers into the app; connects to nothing.
        let_go: tells whoever stays connected for hours that this process ends.
        bodies: examples of request bodies for the specification, by operation.
        answers: the same for answers.
    """

    blueprints: Sequence[Any]
    attach: Callable[[Flask, Settings], None]
    let_go: Callable[[Flask], None]
    bodies: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
