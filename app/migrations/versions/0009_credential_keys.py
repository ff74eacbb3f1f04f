"""Which key pairs are in force, and which of them each runner holds."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; a key that something is sealed for is in force."""
    op.create_table(
        "credential_keys",
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("retired_at", sa.Double()),
        sa.PrimaryKeyConstraint("key_id", name="pk_credential_keys"),
    )
    for slot in ("secrets", "sequence_api_key"):
        op.execute(
            f"INSERT INTO credential_keys (key_id, created_at)"  # noqa: S608 - names of columns
            f" SELECT {slot}_key_id, min(created_at) FROM strategy_versions"
            f" WHERE {slot}_key_id IS NOT NULL"
            f" AND {slot}_key_id NOT IN (SELECT key_id FROM credential_keys)"
            f" GROUP BY {slot}_key_id"
        )
    op.add_column("runners", sa.Column("key_ids", _JSON, server_default="[]", nullable=False))


def downgrade() -> None:
    """Undo."""
    op.drop_table("credential_keys")
    op.execute("ALTER TABLE runners DROP COLUMN key_ids")
