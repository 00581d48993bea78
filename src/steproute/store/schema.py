"""The tables. Columns in `_usd` are units of 10^-12 US dollars; `_ms` and `_s` count from the start of 1970 in UTC."""

from typing import Final

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

Whole: Final = BigInteger().with_variant(Integer(), "sqlite")
Real: Final = Float(53).with_variant(REAL(), "sqlite")

metadata: Final = MetaData()
TOKENS: Final = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
"""Columns of calls: the fields of Usage."""
RATES: Final = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
"""Columns of prices: the fields of Price."""

tenants: Final = Table(
    "tenants",
    metadata,
    Column("name", Text, primary_key=True),
    Column("usd_per_day", Whole),
    Column("usd_per_month", Whole),
    Column("tokens_per_day", Whole),
    Column("tokens_per_month", Whole),
    Column("requests_per_minute", Whole),
    Column("tokens_per_minute", Whole),
    Column("priority", Whole, nullable=False),
    Column("created_ms", Whole, nullable=False),
    Column("suspended_ms", Whole),
    sqlite_strict=True,
)

keys: Final = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),  # the public part of the key
    Column("tenant", Text, ForeignKey("tenants.name"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_ms", Whole, nullable=False),
    Column("expires_ms", Whole),
    Column("revoked_ms", Whole),
    sqlite_strict=True,
)

windows: Final = Table(  # what a tenant has spent and reserved in one month, day or second
    "windows",
    metadata,
    Column("tenant", Text, ForeignKey("tenants.name"), primary_key=True),
    Column("span", Text, primary_key=True),
    Column("start_s", Whole, primary_key=True, autoincrement=False),
    Column("spent_usd", Whole, nullable=False),
    Column("reserved_usd", Whole, nullable=False),
    Column("spent_tokens", Whole, nullable=False),
    Column("reserved_tokens", Whole, nullable=False),
    Column("requests", Whole, nullable=False),
    CheckConstraint("spent_usd >= 0 AND reserved_usd >= 0", name="windows_usd"),
    CheckConstraint("spent_tokens >= 0 AND reserved_tokens >= 0", name="windows_tokens"),
    sqlite_strict=True,
)

requests: Final = Table(  # a request and what is still reserved for it
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, ForeignKey("tenants.name"), nullable=False),
    Column("key_id", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("month_s", Whole, nullable=False),
    Column("day_s", Whole, nullable=False),
    Column("second_s", Whole, nullable=False),
    Column("asked_usd", Whole, nullable=False),
    Column("asked_tokens", Whole, nullable=False),
    Column("reserved_usd", Whole, nullable=False),
    Column("reserved_tokens", Whole, nullable=False),
    Column("unaccounted_usd", Whole, nullable=False),
    Column("baseline_usd", Whole, nullable=False),
    Column("lines", Whole, nullable=False),
    Column("created_ms", Whole, nullable=False),
    Column("expires_ms", Whole, nullable=False),
    Column("closed_ms", Whole),
    CheckConstraint("reserved_usd >= 0 AND reserved_tokens >= 0 AND unaccounted_usd >= 0", name="requests_reserved"),
    Index("ix_requests_state_expires", "state", "expires_ms"),
    Index("ix_requests_tenant_day", "tenant", "day_s"),
    sqlite_strict=True,
)

prices: Final = Table(  # units per token; a row never changes, so a line keeps the price that it was billed at
    "prices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("price_table", Text, nullable=False),
    *(Column(name, Whole, nullable=False) for name in RATES),
    sqlite_strict=True,
)

lines: Final = Table(  # one billed call of a request
    "lines",
    metadata,
    Column("request_id", Text, ForeignKey("requests.id"), primary_key=True),
    Column("number", Whole, primary_key=True, autoincrement=False),
    Column("tenant", Text, nullable=False),
    Column("month_s", Whole, nullable=False),
    Column("day_s", Whole, nullable=False),
    Column("settled_ms", Whole, nullable=False),
    Column("role", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    *(Column(name, Whole, nullable=False) for name in TOKENS),
    Column("estimated", Whole, nullable=False),
    Column("cost_usd", Whole, nullable=False),
    Column("price_table", Text, nullable=False),
    Column("price_id", Text, ForeignKey("prices.id")),
    Column("latency_s", Real, nullable=False),
    Column("wait_s", Real, nullable=False),
    Column("upstream_id", Text, nullable=False),
    CheckConstraint("cost_usd >= 0", name="lines_cost"),
    Index("ix_lines_tenant_day", "tenant", "day_s"),
    sqlite_strict=True,
)

traces: Final = Table(
    "traces",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("tenant", Text, ForeignKey("tenants.name"), nullable=False),
    Column("created_ms", Whole, nullable=False),
    Column("trace", LargeBinary, nullable=False),
    Column("messages", LargeBinary),
    Index("ix_traces_tenant_created", "tenant", "created_ms"),
    Index("ix_traces_created", "created_ms"),
    sqlite_strict=True,
)

daily_calls: Final = Table(  # sums of the lines of days that are no longer kept line by line
    "daily_calls",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("day_s", Whole, primary_key=True, autoincrement=False),
    Column("month_s", Whole, nullable=False),
    Column("calls", Whole, nullable=False),
    *(Column(name, Whole, nullable=False) for name in TOKENS),
    Column("estimated", Whole, nullable=False),
    Column("cost_usd", Whole, nullable=False),
    sqlite_strict=True,
)

daily_requests: Final = Table(  # sums of the requests of the same days
    "daily_requests",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("day_s", Whole, primary_key=True, autoincrement=False),
    Column("month_s", Whole, nullable=False),
    Column("requests", Whole, nullable=False),
    Column("baseline_usd", Whole, nullable=False),
    Column("unaccounted_usd", Whole, nullable=False),
    sqlite_strict=True,
)

baselines: Final = Table(  # what the passthrough model alone has cost for a request of the sample
    "baselines",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("day_s", Whole, nullable=False),
    Column("spent_usd", Whole, nullable=False),
    Column("modelled_usd", Whole, nullable=False),
    Column("measured_usd", Whole, nullable=False),
    Index("ix_baselines_tenant_day", "tenant", "day_s"),
    sqlite_strict=True,
)
