"""What is not served: 501 with the envelope of all errors, and a way to go on."""

from __future__ import annotations

import re

import pytest
from support.api import Caller, error

from market.web.not_served import ROUTES, NotServed

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_it_says_what_is_there_instead(caller: Caller, route: NotServed) -> None:
    path = re.sub("<[^>]+>", "BTC-USD", route.path)
    # As the published client sends it: a JSON content type, whether or not there is a body.
    answer = caller.call(route.method, path, headers={"Content-Type": "application/json"})
    found = error(answer, 501, "NOT_IMPLEMENTED")
    assert found["message"] == f"not served: {route.why}"


def test_names_are_unique(caller: Caller) -> None:
    assert caller.key
    assert len({route.name for route in ROUTES}) == len(ROUTES)
