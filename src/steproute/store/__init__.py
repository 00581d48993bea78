"""Tenants, keys, the ledger and traces, in SQLite or PostgreSQL. Needs `steproute[serve]`."""

from steproute.store.audit import Discrepancy
from steproute.store.balance import Balance
from steproute.store.baselines import Baselines, Measured
from steproute.store.export import Exported, LedgerRow
from steproute.store.ledger import DEFAULT_LEASE_S, Ledger, Reservation
from steproute.store.refusal import BudgetRefused, KeyRefused, ReservationLost, Shortage, TenantSuspended
from steproute.store.store import Store, open_store
from steproute.store.tenants import NO_LIMITS, Budgets, Key, Principal, Tenant, Tenants
from steproute.store.totals import LedgerLine, Period, Savings, Selection, Total
from steproute.store.traces import KeptTrace, TraceEntry, Traces

__all__ = [
    "DEFAULT_LEASE_S",
    "NO_LIMITS",
    "Balance",
    "Baselines",
    "BudgetRefused",
    "Budgets",
    "Discrepancy",
    "Exported",
    "KeptTrace",
    "Key",
    "KeyRefused",
    "Ledger",
    "LedgerLine",
    "LedgerRow",
    "Measured",
    "Period",
    "Principal",
    "Reservation",
    "ReservationLost",
    "Savings",
    "Selection",
    "Shortage",
    "Store",
    "Tenant",
    "TenantSuspended",
    "Tenants",
    "Total",
    "TraceEntry",
    "Traces",
    "open_store",
]
