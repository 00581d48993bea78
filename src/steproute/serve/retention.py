"""What is kept no longer: traces are deleted and old days of the ledger folded, a little at a time."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from steproute.config.gateway import ServeSettings
from steproute.store import Store

_LOG: Final = logging.getLogger("steproute.serve")
_ROUND_S: Final = 60.0
_PAUSE_S: Final = 0.05
"""Between two small transactions, so that requests get their turns."""


async def keep_within(store: Store, settings: ServeSettings) -> None:
    """Clear for as long as the gateway runs. Several processes may do it at once."""
    while True:
        cleared = False
        try:
            cleared = await clear_some(store, settings, datetime.now(UTC))
        except Exception as failure:  # the next round tries again, whatever it was
            _LOG.warning("old traces and lines could not be cleared: %s", failure)
        await asyncio.sleep(_PAUSE_S if cleared else _ROUND_S)


async def clear_some(store: Store, settings: ServeSettings, now: datetime) -> bool:
    """One small step; whether there was anything to clear."""
    if await store.traces.delete_older(now - timedelta(days=settings.retention_days)):
        return True
    if settings.ledger_days is None:
        return False
    return await store.fold((now - timedelta(days=settings.ledger_days)).date()) > 0
