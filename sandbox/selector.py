"""Waiting for many descriptors, where programs cannot keep a process of ours from it."""

from __future__ import annotations

import selectors


def selector(*, shares_user: bool) -> selectors.BaseSelector:
    """epoll, whose watches the kernel counts by user; where programs have the user id of the
    runner, and could take all of them, the slower poll, which needs none."""
    return selectors.PollSelector() if shares_user else selectors.EpollSelector()
