"""Traces."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "traces",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.name"), nullable=False),
        sa.Column("created_ms", _WHOLE, nullable=False),
        sa.Column("trace", sa.LargeBinary, nullable=False),
        sa.Column("messages", sa.LargeBinary),
        sqlite_strict=True,
    )
    op.create_index("ix_traces_tenant_created", "traces", ["tenant", "created_ms"])
    op.create_index("ix_traces_created", "traces", ["created_ms"])


def downgrade() -> None:
    """Drop the table with the traces in it; the ledger stays."""
    op.drop_table("traces")
