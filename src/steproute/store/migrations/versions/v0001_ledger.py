"""Tenants, keys, windows, requests, prices and lines."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REAL = sa.Float(53).with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    """Create them."""
    _tenants()
    _windows()
    _requests()
    _lines()


def downgrade() -> None:
    """Drop them with everything in them."""
    for table in ("lines", "prices", "requests", "windows", "keys", "tenants"):
        op.drop_table(table)


def _whole(name: str, *, optional: bool = False, key: bool = False) -> "sa.Column[int]":
    return sa.Column(name, _WHOLE, nullable=optional, primary_key=key, autoincrement=False)


def _tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("name", sa.Text, primary_key=True),
        _whole("usd_per_day", optional=True),
        _whole("usd_per_month", optional=True),
        _whole("tokens_per_day", optional=True),
        _whole("tokens_per_month", optional=True),
        _whole("requests_per_minute", optional=True),
        _whole("tokens_per_minute", optional=True),
        _whole("priority"),
        _whole("created_ms"),
        sqlite_strict=True,
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.name"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        _whole("created_ms"),
        _whole("expires_ms", optional=True),
        _whole("revoked_ms", optional=True),
        sqlite_strict=True,
    )
    op.create_index("ix_keys_tenant", "keys", ["tenant"])


def _windows() -> None:
    op.create_table(
        "windows",
        sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.name"), primary_key=True),
        sa.Column("span", sa.Text, primary_key=True),
        _whole("start_s", key=True),
        _whole("spent_usd"),
        _whole("reserved_usd"),
        _whole("spent_tokens"),
        _whole("reserved_tokens"),
        _whole("requests"),
        sa.CheckConstraint("spent_usd >= 0 AND reserved_usd >= 0", name="windows_usd"),
        sa.CheckConstraint("spent_tokens >= 0 AND reserved_tokens >= 0", name="windows_tokens"),
        sqlite_strict=True,
    )


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.name"), nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        _whole("month_s"),
        _whole("day_s"),
        _whole("second_s"),
        _whole("asked_usd"),
        _whole("asked_tokens"),
        _whole("reserved_usd"),
        _whole("reserved_tokens"),
        _whole("unaccounted_usd"),
        _whole("baseline_usd"),
        _whole("lines"),
        _whole("created_ms"),
        _whole("expires_ms"),
        _whole("closed_ms", optional=True),
        sa.CheckConstraint(
            "reserved_usd >= 0 AND reserved_tokens >= 0 AND unaccounted_usd >= 0", name="requests_reserved"
        ),
        sqlite_strict=True,
    )
    op.create_index("ix_requests_state_expires", "requests", ["state", "expires_ms"])
    op.create_index("ix_requests_tenant_day", "requests", ["tenant", "day_s"])


def _lines() -> None:
    op.create_table(
        "prices",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("price_table", sa.Text, nullable=False),
        _whole("input"),
        _whole("output"),
        _whole("cache_read"),
        _whole("cache_write"),
        sqlite_strict=True,
    )
    op.create_table(
        "lines",
        sa.Column("request_id", sa.Text, sa.ForeignKey("requests.id"), primary_key=True),
        _whole("number", key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        _whole("month_s"),
        _whole("day_s"),
        _whole("settled_ms"),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        _whole("input_tokens"),
        _whole("cache_read_tokens"),
        _whole("cache_write_tokens"),
        _whole("output_tokens"),
        _whole("reasoning_tokens"),
        _whole("estimated"),
        _whole("cost_usd"),
        sa.Column("price_table", sa.Text, nullable=False),
        sa.Column("price_id", sa.Text, sa.ForeignKey("prices.id")),
        sa.Column("latency_s", _REAL, nullable=False),
        sa.Column("wait_s", _REAL, nullable=False),
        sa.Column("upstream_id", sa.Text, nullable=False),
        sa.CheckConstraint("cost_usd >= 0", name="lines_cost"),
        sqlite_strict=True,
    )
    op.create_index("ix_lines_tenant_day", "lines", ["tenant", "day_s"])
