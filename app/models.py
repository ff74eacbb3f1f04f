"""Every table, gathered for migrations and for tests that compare the two."""

from app.artifacts.models import Artifact
from app.clients.models import ApiKey, Client
from app.database import Base
from app.runners.models import Runner
from app.strategies.models import Run, Strategy, StrategyEvent

__all__ = ["ApiKey", "Artifact", "Base", "Client", "Run", "Runner", "Strategy", "StrategyEvent"]
