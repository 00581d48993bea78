"""Train TRIM-Agg and TRIM-Seq by PPO over the step tree, query-level predictors, and STEER's mixture."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from steproute.artifacts import Artifact
from steproute.cli.stopping import INTERRUPTED
from steproute.cli.terminal import Terminal
from steproute.cli.training import Training
from steproute.cli.training_tree import TREE_WIDTH, training_tree
from steproute.core.errors import ConfigError
from steproute.core.trace import Trace
from steproute.learn.query_fit import fit_classifier, fit_similarity
from steproute.learn.steer_fit import fit_mixture
from steproute.policies.baselines.confidence import Confidence
from steproute.policies.steer import SteerFamily
from steproute.policies.stored import AGG_CONFIDENCE, QUERY_SW, network_artifact, query_artifact, steer_artifact
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

_SURE: Final = Stepwise(policy=Confidence(0.5))


def predictor(training: Training) -> Artifact:
    """A query-level predictor. Raises ConfigError if a package is missing."""
    (traces,) = training.solved([Single("weak")])
    problems = {problem.id: problem for problem in training.problems}
    correct = asyncio.run(_graded(training, traces))
    texts = [problems[trace.problem_id].text for trace in traces]
    try:
        if training.policy == QUERY_SW:
            family = fit_similarity(texts, correct)
        else:
            family = fit_classifier(texts, correct, training.seed)
    except ImportError as missing:
        raise missing_package(training.policy, missing) from None
    training.console.print(f"weak solved {sum(correct)} of {len(correct)}")
    return query_artifact(family, {**training.facts, "weak_right": sum(correct)})


def mixture(training: Training) -> Artifact:
    """STEER's mixture, fitted to the steps that weak wrote alone. Raises ConfigError if a package is missing."""
    weak = Stepwise(policy=Confidence(0.0))
    training.check_needs([weak])
    (traces,) = training.solved([weak])
    sure = [step.confidence.mean_logprob for trace in traces for step in trace.steps if step.confidence is not None]
    try:
        fitted = fit_mixture(sure, training.seed)
    except ImportError as missing:
        raise missing_package(training.policy, missing) from None
    training.console.print(f"{len(sure)} steps; sure ones are {fitted.shares[1]:.0%}")
    return steer_artifact(SteerFamily(fitted), {**training.facts, "steps": len(sure)})


async def _graded(training: Training, traces: list[Trace]) -> list[bool]:
    problems = {problem.id: problem for problem in training.problems}
    with training.grade() as grade:
        return [await grade(problems[trace.problem_id], trace) for trace in traces]


def network(training: Training, lam: float | None, passes: int) -> Artifact:
    """A network by PPO. Raises ConfigError if a package is missing, BackendError for a problem that fails."""
    try:
        from steproute.learn.networks import ARCHITECTURES
        from steproute.learn.ppo import PpoSettings, train_network
    except ImportError as missing:
        raise missing_package(training.policy, missing) from None
    settings = PpoSettings(lam=None if lam is None else (lam, lam), passes=passes, seed=training.seed)
    training.check_needs([training.exploration, *([_SURE] if training.policy == AGG_CONFIDENCE else [])])
    began = time.monotonic()
    columns = TextColumn("training"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn()
    console = Terminal(stderr=True)
    with (
        training_tree(training.path, training.setup, training.limit) as (tree, roles),
        training.grade_by(roles) as grade,
        Progress(*columns, console=console) as bar,
    ):
        task = bar.add_task("training", total=1.0)
        try:
            trained = train_network(
                ARCHITECTURES[training.policy],
                training.problems,
                roles,
                grade,
                settings,
                lambda share: bar.update(task, completed=share),
                rewriters=training.rewriters,
                width=training.width,
                limits=training.setup.limits.without_fallbacks,
            )
        except KeyboardInterrupt:
            console.print(INTERRUPTED)
            raise typer.Exit(_CTRL_C) from None
        calls = f"{tree.computations} of {tree.requests} model calls were computed, the others came from the tree"
    family, best = trained.family, max(reward for _, reward in trained.rewards)
    seconds = time.monotonic() - began
    training.console.print(
        f"λ {family.low:.2g} to {family.high:.2g}  held-out reward {best:.4f}  {seconds:.0f} s  {calls}"
    )
    facts: Mapping[str, Any] = {"passes": passes, "tree_width": TREE_WIDTH, "rewards": trained.rewards}
    return network_artifact(training.policy, family, {**training.facts, **facts})


_CTRL_C: Final = 130


def missing_package(policy: str, missing: ImportError) -> ConfigError:
    """The error for a package that training this policy needs."""
    return ConfigError(f"{policy} needs {missing.name}.", where="policy", remedy="Run: pip install 'steproute[learn]'.")
