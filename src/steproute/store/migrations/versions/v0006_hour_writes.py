"""Tokens that a cache keeps for an hour, and their price."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns; lines of before have no such tokens, whose price was twice that of input."""
    for table in ("lines", "daily_calls"):
        op.add_column(table, sa.Column("cache_write_1h_tokens", _WHOLE, nullable=False, server_default="0"))
    op.add_column("prices", sa.Column("cache_write_1h", _WHOLE, nullable=False, server_default="0"))
    op.execute("UPDATE prices SET cache_write_1h = 2 * input")


def downgrade() -> None:
    """Drop the columns; what the lines cost stays, and their prices no longer explain it."""
    op.drop_column("prices", "cache_write_1h")
    for table in ("daily_calls", "lines"):
        op.drop_column(table, "cache_write_1h_tokens")
