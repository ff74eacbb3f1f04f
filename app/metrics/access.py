"""Who may read metrics: whoever has the token."""

from hmac import compare_digest


def holds(authorization: str, token: str) -> bool:
    """Whether an `Authorization` header brings this token; an empty token is nobody's."""
    scheme, _, given = authorization.partition(" ")
    is_bearer = scheme.lower() == "bearer"
    return bool(token) and is_bearer and compare_digest(given.strip().encode(), token.encode())
