"""What the route of a configuration needs of the models and scorers beside it."""

from collections.abc import Iterator
from contextlib import suppress

from steproute.artifacts import read_artifact
from steproute.config import ConfigFile, policy_family, policy_folder
from steproute.core.errors import SteprouteError
from steproute.core.ports import CHOOSES, NEEDS, READS_CONFIDENCE, reads
from steproute.doctor.finding import Finding, failed, ok, warning
from steproute.engine.roles import ScorerRole
from steproute.policies.routes import RouteFamily


def role_findings(config: ConfigFile) -> list[Finding]:
    """Whether the route can be built, and the models and scorers that it asks are there."""
    there, route = config.tables, config.route
    try:
        needs = NEEDS.of(route.strategy_at(0))
    except SteprouteError as failure:
        return [failed("route", "policy", failure.located, failure.remedy or "Correct [route].")]
    missing = [f"models.{role}" for role in needs.models if role not in there["models"]]
    missing += [f"scorers.{role}" for role in needs.scorers if role not in there["scorers"]]
    if missing:
        remedy = "Describe them in the file, or choose a policy that reads no scores, such as confidence."
        return [failed("route", "roles", f"{', '.join(missing)} missing", remedy)]
    return [
        ok("route", "roles", f"{route.strategy}, {route.policy}"),
        *table_findings("route", route.policy, config.digest),
    ]


def table_findings(where: str, policy: str, digest: str) -> Iterator[Finding]:
    """What a route table chooses among, and whether it is of these models; nothing about other policies.

    digest: of the file's models and scorers. Raises ArtifactError for a damaged table.
    """
    family, folder = policy_family(policy), policy_folder(policy)
    if folder is None or not isinstance(family, RouteFamily):
        return
    routes = ", ".join(family.table.routes)
    if read_artifact(folder).facts.get("config_digest") == digest:
        yield ok(where, "route table", f"{policy} chooses among {routes}")
    else:
        seen = f"{policy} was trained on runs of other models or scorers than the file's"
        yield warning(where, "route table", seen, "Run `eval` with this file, and `steproute train --policy routes`.")


def strategy_that_chooses_by(config: ConfigFile, scorer: str) -> str:
    """The route's strategy, if it picks one of several candidates by the scorer of this role; else empty."""
    with suppress(SteprouteError):  # of the route, which are found with the roles
        strategy = config.route.strategy_at(0)
        if CHOOSES.of(strategy) and scorer in NEEDS.of(strategy).scorers:
            return config.route.strategy
    return ""


def reader_of_logprobs(config: ConfigFile, role: str) -> str:
    """The policy or scorer of the route that reads a model's log-probabilities, empty if none does.

    A policy reads those of the weak model, a scorer those of all steps."""
    route = config.route
    with suppress(SteprouteError):  # of the route, which are found with the roles
        family = policy_family(route.policy)
        if role == "weak" and reads(family.at(family.knobs[0], 0), "confidence"):
            return route.policy
        needs = NEEDS.of(route.strategy_at(0))
        scorers = [name for name in needs.scorers if role in needs.models and name in config.tables["scorers"]]
        return next(filter(None, (_reading(name, config.scorer(name, {}, {})) for name in scorers)), "")
    return ""


def _reading(role: str, judge: ScorerRole) -> str:
    """The scorer that reads log-probabilities, or the first such member of an ensemble; empty if there is none."""
    if judge.members:
        return next(filter(None, (_reading(name, each) for name, each in judge.members.items())), "")
    return f"scorers.{role}" if READS_CONFIDENCE.of(judge.scorer) else ""
