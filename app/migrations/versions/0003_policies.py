"""How a strategy is to be treated, how large a runner is, and what is known of a run's end."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_POLICIES = ("restart", "stop", "hooks", "watchdog", "schedule")
_CAPACITY = ("cpu_millis", "memory_mb", "used_cpu_millis", "used_memory_mb")

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("strategies") as batch_op:
        for name in _POLICIES:
            batch_op.add_column(sa.Column(name, _JSON, server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("hook_due", sa.String(32)))
        batch_op.add_column(sa.Column("next_run_at", sa.Double()))
        batch_op.create_index("ix_strategies_next_run_at", ["next_run_at"])
    with op.batch_alter_table("runners") as batch_op:
        for name in _CAPACITY:
            batch_op.add_column(sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    with op.batch_alter_table("runs") as batch_op:
        batch_op.add_column(sa.Column("evidence", _JSON))


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("runs") as batch_op:
        batch_op.drop_column("evidence")
    with op.batch_alter_table("runners") as batch_op:
        for name in _CAPACITY:
            batch_op.drop_column(name)
    with op.batch_alter_table("strategies") as batch_op:
        for name in _POLICIES:
            batch_op.drop_column(name)
        batch_op.drop_column("hook_due")
        batch_op.drop_index("ix_strategies_next_run_at")
        batch_op.drop_column("next_run_at")
