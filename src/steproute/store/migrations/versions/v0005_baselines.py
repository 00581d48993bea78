"""What the passthrough model alone has cost for a sample of requests."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COUNTS = ("day_s", "spent_usd", "modelled_usd", "measured_usd")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "baselines",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        *(sa.Column(name, _WHOLE, nullable=False) for name in _COUNTS),
        sqlite_strict=True,
    )
    op.create_index("ix_baselines_tenant_day", "baselines", ["tenant", "day_s"])


def downgrade() -> None:
    """Drop the table with what was measured; what it cost stays on the ledger."""
    op.drop_table("baselines")
