"""What a key may do, and for how long; keys that are there may do everything, as before."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("api_keys") as batch_op:
        batch_op.add_column(
            sa.Column("scopes", _JSON, server_default='["read", "deploy", "admin"]', nullable=False)
        )
        batch_op.add_column(sa.Column("last_used_at", sa.Double()))
        batch_op.add_column(sa.Column("expires_at", sa.Double()))


def downgrade() -> None:
    """Undo; a key beyond its grace, or with fewer scopes, must not come back to life."""
    op.execute(
        "UPDATE api_keys SET revoked_at = created_at"
        " WHERE revoked_at IS NULL AND (expires_at IS NOT NULL"
        " OR CAST(scopes AS TEXT) NOT LIKE '%admin%')"
    )
    for name in ("expires_at", "last_used_at", "scopes"):
        op.execute(f"ALTER TABLE api_keys DROP COLUMN {name}")
