"""Train BAAR's chooser over a step tree: boundary policies, a supervised start, policy optimisation."""

import asyncio
from typing import Any, Final

from steproute.artifacts import Artifact
from steproute.cli.training import Training
from steproute.cli.training_tree import training_tree
from steproute.learn.boundary import BoundaryTrainer, Difficulty, Settings
from steproute.policies.boundary import BoundaryFamily
from steproute.policies.choosers import First
from steproute.policies.stored import boundary_artifact
from steproute.strategies.preroute import Preroute

BOUNDARY_WIDTH: Final = Settings().runs


def boundary(training: Training, lam: float | None, passes: int) -> Artifact:
    """A router for each λ, or for one. Raises BackendError for a problem that fails, SpendingLimitReached."""
    training.check_needs([Preroute(chooser=First(0))])
    own = Settings(passes=passes, seed=training.seed, in_flight=training.in_flight)
    settings = (
        own
        if lam is None
        else Settings(passes=passes, seed=training.seed, in_flight=training.in_flight, lam=(lam, lam))
    )
    with (
        training_tree(training.path, training.setup, training.limit, BOUNDARY_WIDTH) as (tree, roles),
        training.grade_by(roles) as grade,
    ):
        trainer = BoundaryTrainer(roles, grade, training.setup.limits.without_fallbacks, settings)
        family, counts = asyncio.run(_trained(trainer, training))
        calls = f"{tree.computations} of {tree.requests} model calls were computed, the others came from the tree"
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    training.console.print(f"problems: {said}; {len(family.router.terms)} words; {calls}", highlight=False)
    facts: dict[str, Any] = {"passes": passes, "difficulties": counts, "lam": list(settings.lam)}
    return boundary_artifact(family, {**training.facts, **facts})


async def _trained(trainer: BoundaryTrainer, training: Training) -> tuple[BoundaryFamily, dict[str, int]]:
    tasks = await trainer.tasks(training.problems)
    kinds = [task.difficulty for task in tasks]
    router = await trainer.optimised(await trainer.supervised(tasks), tasks)
    return BoundaryFamily(router), {kind.value: kinds.count(kind) for kind in Difficulty}
