"""Sums of days whose requests and lines are no longer kept."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "daily_calls",
        *_key("tenant", "route", "key_id", "role", "model", "purpose"),
        *_whole("month_s", "calls", *_TOKENS, "estimated", "cost_usd"),
        sqlite_strict=True,
    )
    op.create_table(
        "daily_requests",
        *_key("tenant", "route", "key_id"),
        *_whole("month_s", "requests", "baseline_usd", "unaccounted_usd"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Drop the tables; what the days in them cost is lost."""
    op.drop_table("daily_requests")
    op.drop_table("daily_calls")


def _key(*names: str) -> "list[sa.Column[str] | sa.Column[int]]":
    texts = [sa.Column(name, sa.Text, primary_key=True) for name in names]
    return [*texts, sa.Column("day_s", _WHOLE, primary_key=True, autoincrement=False)]


def _whole(*names: str) -> "list[sa.Column[int]]":
    return [sa.Column(name, _WHOLE, nullable=False) for name in names]
