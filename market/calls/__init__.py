"""Requests of web processes to the one market process, and its answers, through Redis.

A request is its text under a key that goes away by itself, and its name in a list. The market
process takes the name, then the text, and only one can take that: no request is done twice, and
none is done after its caller gave up.
"""

from market.calls.caller import MarketCalls, MarketUnavailableError, UnansweredError
from market.calls.inbox import Inbox, Request

__all__ = ["Inbox", "MarketCalls", "MarketUnavailableError", "Request", "UnansweredError"]
