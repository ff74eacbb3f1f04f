"""Every table, gathered for migrations and for tests that compare the two."""

from app.artifacts.models import Artifact
from app.clients.models import ApiKey, Client
from app.credentials.models import VenueCredential
from app.database import Base
from app.deployments.models import StrategyVersion
from app.logs.models import LogChunk
from app.runners.models import Runner
from app.secrets.models import CredentialKey
from app.strategies.idempotency import IdempotencyKey
from app.strategies.models import Run, Strategy, StrategyEvent

__all__ = [
    "ApiKey",
    "Artifact",
    "Base",
    "Client",
    "CredentialKey",
    "IdempotencyKey",
    "LogChunk",
    "Run",
    "Runner",
    "Strategy",
    "StrategyEvent",
    "StrategyVersion",
    "VenueCredential",
]
