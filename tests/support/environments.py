"""Made environments, and the settings that come of them."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field

from app.secrets.envelope import generate_key_pair
from app.settings import Role, Settings, load


@dataclass(frozen=True)
class Keys:
    """Keys of one platform, fresh for each."""

    pair: tuple[str, str] = field(default_factory=generate_key_pair)
    hash_key: str = field(default_factory=lambda: b64encode(b"h" * 32).decode())


def environment(**overrides: object) -> dict[str, str]:
    """A complete environment for every role; names are those of the variables."""
    keys = Keys()
    made = {
        "CREDENTIAL_ENCRYPTION_KEY": keys.pair[0],
        "CREDENTIAL_PUBLIC_KEY": keys.pair[1],
        "API_KEY_HASH_KEY": keys.hash_key,
        "FLOWER_BASIC_AUTH": "operator:password",
        "LOG_LEVEL": "error",
        "LOG_MAX_LINES": "1000",
        "RATE_LIMIT_QPS": "0",
    }
    return made | {name: str(value) for name, value in overrides.items()}


def settings(role: Role = Role.RUNNER, **overrides: object) -> Settings:
    """Settings as a process of this role would load them."""
    return load(role, environment(**overrides))
