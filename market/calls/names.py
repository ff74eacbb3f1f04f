"""Keys of Redis that web and market processes share."""

LEASE = "market:lease"
REQUESTS = "market:requests"


def request_key(name: str) -> str:
    """The text of a request."""
    return f"market:request:{name}"


def answer_key(name: str) -> str:
    """The list in which the answer to a request comes."""
    return f"market:answer:{name}"


def unanswered_key(owner: str, digest: str) -> str:
    """The name of a submission whose answer its caller never got."""
    return f"market:unanswered:{owner}:{digest}"
