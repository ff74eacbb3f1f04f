"""Versions of strategies; what is there becomes the first one of each."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_SETTINGS = ("env", "manifest", "placement", "resources", "risk")
_POLICIES = ("network", "restart", "stop", "hooks", "watchdog", "schedule", "deploy")
_SEALED = ("secrets", "sequence_api_key")
_DEFINING = (
    *("runtime", "entrypoint", "artifact_sha256", "size_bytes"),
    *_SETTINGS,
    *_POLICIES,
    *(f"{s}_{part}" for s in _SEALED for part in ("ciphertext", "nonce", "wrapped_key", "key_id")),
)

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("strategies") as batch_op:
        batch_op.add_column(sa.Column("deploy", _JSON, server_default="{}", nullable=False))
        batch_op.add_column(
            sa.Column("secrets_changes", _JSON, server_default="[]", nullable=False)
        )
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("version_started_at", sa.Double()))
    with op.batch_alter_table("runs") as batch_op:
        batch_op.add_column(sa.Column("version", sa.Integer()))
    op.create_table(
        "strategy_versions",
        sa.Column("strategy_id", sa.String(36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("source_version", sa.Integer()),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("runtime", sa.String(16), nullable=False),
        sa.Column("entrypoint", sa.String(255), nullable=False),
        sa.Column("artifact_sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        *(sa.Column(name, _JSON, nullable=False) for name in _SETTINGS),
        *(sa.Column(name, _JSON, server_default="{}", nullable=False) for name in _POLICIES),
        sa.Column("secrets_changes", _JSON, server_default="[]", nullable=False),
        *(column for slot in _SEALED for column in _sealed(slot)),
        sa.ForeignKeyConstraint(
            ["strategy_id"],
            ["strategies.strategy_id"],
            name="fk_strategy_versions_strategy_id_strategies",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["artifact_sha256"],
            ["artifacts.sha256"],
            name="fk_strategy_versions_artifact_sha256_artifacts",
        ),
        sa.PrimaryKeyConstraint("strategy_id", "version", name="pk_strategy_versions"),
    )
    op.create_index(
        "ix_strategy_versions_artifact_sha256", "strategy_versions", ["artifact_sha256"]
    )
    copied = ", ".join(_DEFINING)
    op.execute(
        f"INSERT INTO strategy_versions (strategy_id, version, origin, actor, created_at, {copied})"  # noqa: S608
        f" SELECT strategy_id, 1, 'create', 'migration', updated_at, {copied} FROM strategies"
    )


def downgrade() -> None:
    """Undo; artifacts of older versions alone go with them."""
    op.drop_table("strategy_versions")
    op.execute("DELETE FROM artifacts WHERE sha256 NOT IN (SELECT artifact_sha256 FROM strategies)")
    # Not as a batch: on SQLite that copies the table and drops it, with all that refers to it.
    op.execute("ALTER TABLE runs DROP COLUMN version")
    for name in ("version_started_at", "version", "secrets_changes", "deploy"):
        op.execute(f"ALTER TABLE strategies DROP COLUMN {name}")


def _sealed(slot: str) -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column(f"{slot}_ciphertext", sa.LargeBinary()),
        sa.Column(f"{slot}_nonce", sa.LargeBinary()),
        sa.Column(f"{slot}_wrapped_key", sa.LargeBinary()),
        sa.Column(f"{slot}_key_id", sa.String(16)),
    )
