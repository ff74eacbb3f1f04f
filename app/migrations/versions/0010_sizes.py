"""How large a strategy's variables and secrets are; what is there is measured once."""

import base64

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_TAG_BYTES = 16
_BATCH_ROWS = 500

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_strategies = sa.table(
    "strategies",
    sa.column("strategy_id", sa.String),
    sa.column("env", _JSON),
    sa.column("secrets_ciphertext", sa.LargeBinary),
    sa.column("secrets_changes", _JSON),
    sa.column("env_bytes", sa.Integer),
    sa.column("secret_bytes", sa.Integer),
)


def upgrade() -> None:
    """Apply."""
    for name in ("env_bytes", "secret_bytes"):
        column = sa.Column(name, sa.Integer(), server_default="0", nullable=False)
        op.add_column("strategies", column)
    connection = op.get_bind()
    c = _strategies.c
    after = ""
    while rows := connection.execute(
        sa.select(c.strategy_id, c.env, c.secrets_ciphertext, c.secrets_changes)
        .where(c.strategy_id > after)
        .order_by(c.strategy_id)
        .limit(_BATCH_ROWS)
    ).all():
        for strategy_id, env, base, changes in rows:
            sealed = [base or b"", *(base64.b64decode(one["ciphertext"]) for one in changes)]
            values = {
                "env_bytes": sum(len(str(k)) + len(str(v).encode()) for k, v in env.items()),
                "secret_bytes": sum(max(0, len(one) - _TAG_BYTES) for one in sealed),
            }
            this = c.strategy_id == strategy_id
            connection.execute(sa.update(_strategies).where(this).values(values))
        after = rows[-1][0]


def downgrade() -> None:
    """Undo."""
    # Not as a batch: on SQLite that copies the table and drops it, with all that refers to it.
    for name in ("secret_bytes", "env_bytes"):
        op.execute(f"ALTER TABLE strategies DROP COLUMN {name}")
