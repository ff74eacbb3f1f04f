"""The name of an account: one for the live keys of a client, one for its test keys."""


def owner_name(client_id: str, *, is_sandbox: bool) -> str:
    """Also the name of the channel on which its orders and fills are told."""
    return f"{client_id}:{'test' if is_sandbox else 'live'}"
