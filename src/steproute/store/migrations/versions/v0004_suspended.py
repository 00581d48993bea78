"""When a tenant was suspended."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("tenants", sa.Column("suspended_ms", whole))


def downgrade() -> None:
    """Drop the column; suspended tenants are active again."""
    op.drop_column("tenants", "suspended_ms")
