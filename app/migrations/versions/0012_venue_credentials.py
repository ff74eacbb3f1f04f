"""Keys of venues, sealed, by client, mode and venue."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "venue_credentials",
        sa.Column("client_id", sa.String(36), nullable=False),
        sa.Column("is_sandbox", sa.Boolean(), nullable=False),
        sa.Column("venue", sa.String(32), nullable=False),
        sa.Column("credential_ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("credential_nonce", sa.LargeBinary(), nullable=False),
        sa.Column("credential_wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("credential_key_id", sa.String(16), nullable=False),
        sa.Column("key_tail", sa.String(4), nullable=False),
        sa.Column("fingerprint", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["clients.client_id"], name="fk_venue_credentials_client_id_clients"
        ),
        sa.PrimaryKeyConstraint("client_id", "is_sandbox", "venue", name="pk_venue_credentials"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("venue_credentials")
