"""An index that has a client's strategies in the order of lists."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "ix_strategies_listed",
        "strategies",
        ["client_id", "is_sandbox", "created_at", "strategy_id"],
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_strategies_listed", "strategies")
