"""Schema migrations, run by the `release` process."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from app.database import Database


def alembic_config(database: Database) -> Config:
    """Alembic's configuration, without an ini file, for this database."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["engine"] = database.engine
    return config


def upgrade(database: Database) -> None:
    """Bring the schema to the newest revision."""
    command.upgrade(alembic_config(database), "head")
