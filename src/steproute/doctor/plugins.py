"""Whether the parts that other packages publish can be used."""

from steproute.core.registry import plugins
from steproute.doctor.finding import Finding, ok, warning


def plugin_findings() -> list[Finding]:
    """One finding for each part of another package, whether or not the configuration uses it."""
    return [
        ok(plugin.package, "plugin", plugin.part)
        if plugin.fault is None
        else warning(plugin.package, "plugin", plugin.fault.located, plugin.fault.remedy)
        for plugin in plugins()
    ]
