"""The id of the request that asked for a strategy's present start."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("strategies") as batch_op:
        batch_op.add_column(sa.Column("start_request_id", sa.String(128), nullable=True))


def downgrade() -> None:
    """Undo."""
    # Not as a batch: on SQLite that copies the table and drops it, with all that refers to it.
    op.execute("ALTER TABLE strategies DROP COLUMN start_request_id")
