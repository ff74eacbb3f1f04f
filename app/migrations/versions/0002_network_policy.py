"""Each strategy has a network policy."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("strategies") as batch_op:
        batch_op.add_column(sa.Column("network", _JSON, server_default="{}", nullable=False))


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("strategies") as batch_op:
        batch_op.drop_column("network")
