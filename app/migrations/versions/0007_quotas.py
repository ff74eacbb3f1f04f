"""Quotas of a client that differ from those of the settings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("clients") as batch_op:
        batch_op.add_column(sa.Column("quotas", _JSON, server_default="{}", nullable=False))


def downgrade() -> None:
    """Undo."""
    # Not as a batch: on SQLite that copies the table and drops it, with all that refers to it.
    op.execute("ALTER TABLE clients DROP COLUMN quotas")
