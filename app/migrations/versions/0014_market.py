"""The market's accounts, positions, graphs, orders and fills."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_OWNER, _MARKET, _MONEY = sa.String(48), sa.String(400), sa.String(64)

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "market_fence",
        sa.Column("fence_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), nullable=False),
        sa.Column("started_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fence_id", name="pk_market_fence"),
    )
    op.create_table(
        "market_accounts",
        sa.Column("owner", _OWNER, nullable=False),
        sa.Column("cash_1e17", _MONEY, nullable=False),
        sa.Column("fees_1e17", _MONEY, nullable=False),
        sa.Column("start_cash_usd", sa.BigInteger(), nullable=False),
        sa.Column("is_halted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_market_accounts"),
    )
    op.create_table(
        "market_positions",
        sa.Column("owner", _OWNER, nullable=False),
        sa.Column("venue", sa.String(40), nullable=False),
        sa.Column("market", _MARKET, nullable=False),
        sa.Column("qty_1e8", _MONEY, nullable=False),
        sa.Column("cost_1e17", _MONEY, nullable=False),
        sa.PrimaryKeyConstraint("owner", "venue", "market", name="pk_market_positions"),
    )
    _create_trading()


def _create_trading() -> None:
    op.create_table(
        "market_graphs",
        sa.Column("owner", _OWNER, nullable=False),
        sa.Column("graph_id", sa.String(80), nullable=False),
        sa.Column("request", sa.String(140), nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", _JSON, nullable=False),
        sa.Column("state", _JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("is_done", sa.Boolean(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "graph_id", name="pk_market_graphs"),
        sa.UniqueConstraint("owner", "request", name="uq_market_graphs_owner_request"),
    )
    op.create_index("ix_market_graphs_is_done", "market_graphs", ["is_done"])
    op.create_table(
        "market_orders",
        sa.Column("owner", _OWNER, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("graph_id", sa.String(80), nullable=False),
        sa.Column("symbol", _MARKET, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("row", _JSON, nullable=False),
        sa.Column("book", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("owner", "name", name="pk_market_orders"),
    )
    op.create_index("ix_market_orders_owner_seq", "market_orders", ["owner", "seq"])
    op.create_table(
        "market_fills",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("owner", _OWNER, nullable=False),
        sa.Column("symbol", _MARKET, nullable=False),
        sa.Column("row", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_market_fills"),
    )
    op.create_index("ix_market_fills_owner_seq", "market_fills", ["owner", "seq"])
    op.create_index("ix_market_fills_owner_symbol_seq", "market_fills", ["owner", "symbol", "seq"])


def downgrade() -> None:
    """Undo."""
    for table in ("fills", "orders", "graphs", "positions", "accounts", "fence"):
        op.drop_table(f"market_{table}")
