"""Rows of the market. Sums of money and quantities may have more than 64 bits: they are text."""

from typing import Any

from sqlalchemy import BigInteger, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base

OWNER = String(48)
MARKET = String(400)


class MarketFence(Base):
    """One row: the number of the market process that may write."""

    __tablename__ = "market_fence"

    fence_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    token: Mapped[int] = mapped_column(BigInteger)
    next_seq: Mapped[int] = mapped_column(BigInteger)
    started_s: Mapped[int] = mapped_column(BigInteger)


class MarketAccount(Base):
    """Money of one owner, in 1e-17 dollars; `start_cash_usd` is what a reset gives."""

    __tablename__ = "market_accounts"

    owner: Mapped[str] = mapped_column(OWNER, primary_key=True)
    cash_1e17: Mapped[str] = mapped_column(String(64))
    fees_1e17: Mapped[str] = mapped_column(String(64))
    start_cash_usd: Mapped[int] = mapped_column(BigInteger)
    is_halted: Mapped[bool]


class MarketPosition(Base):
    """What an owner holds in one book, and what it cost."""

    __tablename__ = "market_positions"

    owner: Mapped[str] = mapped_column(OWNER, primary_key=True)
    venue: Mapped[str] = mapped_column(String(40), primary_key=True)
    market: Mapped[str] = mapped_column(MARKET, primary_key=True)
    qty_1e8: Mapped[str] = mapped_column(String(64))
    cost_1e17: Mapped[str] = mapped_column(String(64))


class MarketGraph(Base):
    """A graph: the body it came with, and where it is. `request` names its submission."""

    __tablename__ = "market_graphs"
    __table_args__ = (
        UniqueConstraint("owner", "request"),
        Index("ix_market_graphs_is_done", "is_done"),
    )

    owner: Mapped[str] = mapped_column(OWNER, primary_key=True)
    graph_id: Mapped[str] = mapped_column(String(80), primary_key=True)
    request: Mapped[str | None] = mapped_column(String(140))
    digest: Mapped[str] = mapped_column(String(64))
    body: Mapped[dict[str, Any]]
    state: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16))
    is_done: Mapped[bool]
    created_ns: Mapped[int] = mapped_column(BigInteger)


class MarketOrder(Base):
    """An order: `row` is what `GET /v1/orders` shows, `book` what its book needs again."""

    __tablename__ = "market_orders"
    __table_args__ = (Index("ix_market_orders_owner_seq", "owner", "seq"),)

    owner: Mapped[str] = mapped_column(OWNER, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    graph_id: Mapped[str] = mapped_column(String(80))
    symbol: Mapped[str] = mapped_column(MARKET)
    seq: Mapped[int] = mapped_column(BigInteger)
    row: Mapped[dict[str, Any]]
    book: Mapped[dict[str, Any]]


class MarketFill(Base):
    """A fill: `row` is what `GET /v1/fills` shows."""

    __tablename__ = "market_fills"
    __table_args__ = (
        Index("ix_market_fills_owner_seq", "owner", "seq"),
        Index("ix_market_fills_owner_symbol_seq", "owner", "symbol", "seq"),
    )

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    owner: Mapped[str] = mapped_column(OWNER)
    symbol: Mapped[str] = mapped_column(MARKET)
    row: Mapped[dict[str, Any]]
