"""The rows: one engine per process, explicit transactions, SQLite or PostgreSQL."""

from app.database.base import Base
from app.database.clock import database_now
from app.database.engine import Database

__all__ = ["Base", "Database", "database_now"]
