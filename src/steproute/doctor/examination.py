"""All of a configuration's backends, examined at the same time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from steproute.config import ConfigFile
from steproute.core.errors import SteprouteError
from steproute.core.registry import plugins
from steproute.doctor.finding import Finding, failed, ok, remedy_for, warning
from steproute.doctor.gateway import gateway_findings
from steproute.doctor.models import model_findings
from steproute.doctor.probe import check
from steproute.doctor.route import role_findings
from steproute.doctor.scorers import scorer_findings

_DEADLINE_S: Final = 120.0


async def examine(config: ConfigFile) -> list[Finding]:
    """All findings: roles, other packages' parts, then each backend's, asked at the same time, then the gateway's.

    Raises ConfigError for a probe that asks nothing.
    """
    check(config.path.name, config.probe)
    models = [_collected(model_findings(config, role), f"models.{role}") for role in config.tables["models"]]
    scorers = [_collected(scorer_findings(config, role), f"scorers.{role}") for role in config.tables["scorers"]]
    findings = await asyncio.gather(*models, *scorers, gateway_findings(config))
    return [*role_findings(config), *_plugin_findings(), *(finding for each in findings for finding in each)]


async def _collected(findings: AsyncIterator[Finding], backend: str) -> list[Finding]:
    """A backend's findings up to the one after which nothing more can be asked."""
    collected = []
    try:
        async with asyncio.timeout(_DEADLINE_S):
            async for finding in findings:
                collected.append(finding)  # noqa: PERF401 - those before a failure count
    except SteprouteError as failure:
        collected.append(failed(backend, "answers", failure.located, remedy_for(failure, backend)))
    except TimeoutError:
        collected.append(failed(backend, "answers", f"not within {_DEADLINE_S:g} s", "Is the server overloaded?"))
    return collected


def _plugin_findings() -> list[Finding]:
    """One finding for each part of another package, whether or not the configuration uses it."""
    return [
        ok(plugin.package, "plugin", plugin.part)
        if plugin.fault is None
        else warning(plugin.package, "plugin", plugin.fault.located, plugin.fault.remedy)
        for plugin in plugins()
    ]
