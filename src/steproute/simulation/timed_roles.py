"""Roles that answer from a step tree and take the time of a deployment, for the latency of what was solved before."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final

from steproute.core.concurrency import gather_or_cancel
from steproute.core.ports import CAPABILITIES, StepModel, StepScorer
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores
from steproute.engine.metering import now
from steproute.engine.roles import Roles
from steproute.simulation.servers import Generating, GeneratingServer, Reading, ReadingServer
from steproute.simulation.virtual_time import VirtualTimeLoop
from steproute.simulation.world import SimWorld

_WORLD: Final = SimWorld()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The speeds of the servers behind the roles; a scorer without one takes no time.

    grades_with_model: scorers whose server has a prefix cache, as that of a language model does, so that it reads only
    what is new.
    """

    models: Mapping[str, Generating]
    scorers: Mapping[str, Reading]
    grades_with_model: frozenset[str] = frozenset()


LAB_DEPLOYMENT: Final = Deployment(
    models={
        "weak": _WORLD.weak,
        "mid": Generating(request_s=0.005, read_s=0.00018, token_s=0.02, token_s_per_request=0.00012),
        "strong": _WORLD.strong,
    },
    scorers={
        "prm": _WORLD.prm,
        "prm-place": _WORLD.prm,
        "strong": Reading(request_s=_WORLD.strong.request_s, pass_s=_WORLD.strong.token_s, read_s=_WORLD.strong.read_s),
    },
    grades_with_model=frozenset({"strong"}),
)
"""A 3B weak, a 14B mid-size and a 72B strong model, and a 7B PRM.

Weak, strong and PRM are those of `SimWorld`. The mid-size model is assumed: on one A100 at 50 tokens per second, 2 FLOP
per parameter and token of reading. The strong model grades in one pass, which takes as long as one token.
"""


def timed_roles(roles: Roles, deployment: Deployment) -> Roles:
    """The roles on fresh servers of the deployment. Call them on a loop in virtual time."""
    return replace(
        roles,
        models={
            name: replace(role, model=TimedModel(role.model, GeneratingServer(deployment.models[name])))
            for name, role in roles.models.items()
        },
        scorers={
            name: replace(role, scorer=_timed_scorer(name, role.scorer, deployment))
            for name, role in roles.scorers.items()
        },
    )


class TimedModel:
    """A step model whose drafts are another's, at once, and take a server's time."""

    def __init__(self, model: StepModel, server: GeneratingServer) -> None:
        self.name, self.capabilities = model.name, CAPABILITIES.of(model)
        self._model, self._server = model, server

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts that are written beside each other after one reading of the prompt; see StepModel.propose."""
        began = now()
        with _stopped_clock():
            drafts = await self._model.propose(prefix, n, sampling, meter)
        unread = max(draft.usage.input_tokens + draft.usage.cache_write_tokens for draft in drafts)
        writing = (self._server.generate(draft.usage.output_tokens, unread, _ignore) for draft in drafts)
        await gather_or_cancel(*writing)
        return [replace(draft, latency_s=now() - began) for draft in drafts]


class TimedScorer:
    """A step scorer whose scores are another's, at once, and take a server's time."""

    def __init__(self, scorer: StepScorer, server: ReadingServer, *, has_cache: bool) -> None:
        self.name = scorer.name
        self._scorer, self._server, self._has_cache = scorer, server, has_cache

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """See StepScorer.score."""
        began = now()
        with _stopped_clock():
            scores = await self._scorer.score(prefix, meter)
        await self._server.read(scores.usage.input_tokens if self._has_cache else scores.usage.read_tokens)
        return replace(scores, latency_s=now() - began)


def _timed_scorer(name: str, scorer: StepScorer, deployment: Deployment) -> StepScorer:
    if name not in deployment.scorers:
        return scorer
    server = ReadingServer(deployment.scorers[name])
    return TimedScorer(scorer, server, has_cache=name in deployment.grades_with_model)


def _stopped_clock() -> AbstractContextManager[None]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop), "timed roles need a loop in virtual time"
    return loop.stopped_clock()


def _ignore(tokens: int) -> None:
    pass
