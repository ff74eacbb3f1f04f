"""The archive of logs: lines that outlive Redis."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("runs") as batch_op:
        batch_op.add_column(sa.Column("logs_archived_at", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("log_lines", sa.BigInteger(), nullable=True))
        batch_op.create_index("ix_runs_unarchived", ["logs_archived_at", "ended_at"])
    op.add_column("clients", sa.Column("log_kept_days", sa.Double(), nullable=True))
    op.add_column("clients", sa.Column("log_archive_max_bytes", sa.BigInteger(), nullable=True))
    op.add_column("clients", sa.Column("log_runs_kept", sa.Integer(), nullable=True))
    op.create_table(
        "log_chunks",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("after_number", sa.BigInteger(), nullable=False),
        sa.Column("strategy_id", sa.String(36), nullable=False),
        sa.Column("first_number", sa.BigInteger(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.Column("last_ts_ms", sa.BigInteger(), nullable=False),
        sa.Column("is_end", sa.Boolean(), nullable=False),
        sa.Column("raw_bytes", sa.Integer(), nullable=False),
        sa.Column("stored_bytes", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name="fk_log_chunks_run_id_runs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "after_number", name="pk_log_chunks"),
    )
    op.create_index("ix_log_chunks_strategy", "log_chunks", ["strategy_id", "created_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("log_chunks")
    with op.batch_alter_table("runs") as batch_op:
        batch_op.drop_index("ix_runs_unarchived")
        batch_op.drop_column("log_lines")
        batch_op.drop_column("logs_archived_at")
    # Not as a batch: SQLite would copy the table, and others refer to it.
    op.drop_column("clients", "log_runs_kept")
    op.drop_column("clients", "log_archive_max_bytes")
    op.drop_column("clients", "log_kept_days")
