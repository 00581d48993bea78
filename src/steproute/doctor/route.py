"""What the route of a configuration needs of the models and scorers beside it."""

from contextlib import suppress
from typing import Final

from steproute.config import build_policy, policy_family
from steproute.config_file import ConfigFile, RouteSettings
from steproute.core.errors import SteprouteError
from steproute.core.ports import reads_logprobs
from steproute.doctor.finding import Finding, failed, ok

_WRITERS: Final = ("weak", "strong")
_JUDGES: Final = {
    **dict.fromkeys(("stepwise", "pipelined", "budgeted", "cascade", "automix-prm"), "prm"),
    "specreason": "strong",
}


def role_findings(config: ConfigFile) -> list[Finding]:
    """Whether the route can be built, and the models and scorers that it asks are there."""
    there, route = config.tables, config.route
    try:
        judge = _judge_of(route)
        route.strategy_at(0)
    except SteprouteError as failure:
        return [failed("route", "policy", str(failure), "Correct [route].")]
    missing = [f"models.{role}" for role in _WRITERS if role not in there["models"]]
    if judge and judge not in there["scorers"]:
        missing.append(f"scorers.{judge}")
    if missing:
        remedy = "Describe them in the file, or choose a policy that reads no scores, such as confidence."
        return [failed("route", "roles", f"{', '.join(missing)} missing", remedy)]
    return [ok("route", "roles", f"{route.strategy}, {route.policy}")]


def reader_of_logprobs(config: ConfigFile, role: str) -> str:
    """What of the route reads a model's log-probabilities, if anything does: a policy reads those of weak, a scorer
    those of all steps, whoever wrote them."""
    route, scorers = config.route, config.tables["scorers"]
    if role not in _WRITERS:
        return ""
    asked = []
    with suppress(SteprouteError):  # of the route, which are found with the roles
        family = policy_family(route.policy)
        if role == "weak" and reads_logprobs(family.at(family.knobs[0], 0)):
            return route.policy
        asked.append(_judge_of(route))
    for name in asked:
        table = scorers.get(name, {})
        if table.get("backend") == "confidence":
            return f"scorers.{name}"
        members = table.get("of")
        if isinstance(members, list):
            asked += [each for each in members if isinstance(each, str) and each not in asked]
    return ""


def _judge_of(route: RouteSettings) -> str:
    """The scorer that the route asks; empty where it asks none. Raises ConfigError, ArtifactError."""
    needs_scores = build_policy(route.policy, route.knob, 0).needs_scores
    return _JUDGES.get(route.strategy, "") if needs_scores else ""
