"""One problem being solved: the handle by which a strategy proposes, scores, decides and accepts.

Whatever a strategy does, and however the solution ends:

- Every token that a model generates is on exactly one line of the account: accepted, discarded, cancelled or retried.
- A call's seed depends on the route's seed, the problem, the role, the step's number and the attempt from these steps.
- Speculation never changes a solution. A speculative draft that nobody needs releases its seeds.
- Nothing outlives the episode: all calls that it started have ended and are billed when `run` returns or raises.
- An environment's answer costs input tokens of later calls only. It has no tokens, no score and no line of its own.
- A failure is never an answer: the problem fails, or the trace names the declared fallback.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from itertools import count
from typing import Final

from steproute.core.concurrency import gather_or_cancel, in_turn
from steproute.core.decision import Accept, Decision
from steproute.core.errors import BackendError, BudgetExceeded, ScorerError, SpendingLimitReached
from steproute.core.events import Billed, Drafted, Event, Finished, Started
from steproute.core.observation import Observation
from steproute.core.ports import AskedPolicy, Policy, Strategy
from steproute.core.problem import Problem
from steproute.core.solution import DEFAULT_SEPARATOR, Draft, Outcome, Prefix
from steproute.core.trace import Trace
from steproute.core.writable import writable
from steproute.engine.account import Account
from steproute.engine.branches import Branches
from steproute.engine.budget import Budget
from steproute.engine.committed import Committed
from steproute.engine.drafting import Drafting
from steproute.engine.endings import Ending, ending_by, ending_with, unwritable
from steproute.engine.fallbacks import Fallbacks
from steproute.engine.limits import Limits
from steproute.engine.metering import MeteredCalls, now
from steproute.engine.roles import Roles
from steproute.engine.scoring import Scoring
from steproute.engine.speculation import Speculation
from steproute.engine.steps import steps_of

_NUMBERS: Final = count()  # a problem that is solved again has nothing in a backend's cache, so it costs the same


class Episode:
    """State of one problem from start to trace.

    Strategies call `start`, `propose`, `score`, `decide` and `accept`; to search, `propose_many`, `score_many`,
    `extend` and `commit`; to save time, `speculate` and `cancel_speculation`.
    """

    def __init__(
        self,
        problem: Problem,
        roles: Roles,
        *,
        route: str,
        limits: Limits = Limits(),
        seed: int = 0,
        separator: str = DEFAULT_SEPARATOR,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.problem, self.roles, self.limits, self.route, self.seed = problem, roles, limits, route, seed
        self._emit = on_event
        session = f"{route}/{seed}/{problem.id}/{next(_NUMBERS)}"
        self._fallbacks = Fallbacks(limits)
        self._account = Account(lambda line: on_event(Billed(line)))
        empty = Prefix(problem=problem, separator=separator, session=session)
        self._solution = Committed(empty, self._account, on_event)
        self._budget = Budget(limits, self._account)
        calls = MeteredCalls(self._account, limits.retries)
        self._drafting = Drafting(roles, seed, calls, self._account, self._budget, on_event)
        self._scoring = Scoring(roles, calls, self._account)
        self._branches = Branches(roles.environment, limits.max_steps, self._drafting)
        self._speculation = Speculation(self._drafting, self._scoring, self._branches, self._account)
        self._began = 0.0

    async def run(self, strategy: "Strategy[Episode]") -> Trace:
        """Solve the problem. Every ending returns a trace, except a cancellation and a spending limit that is reached:
        they emit a trace that counts as cancelled, and are raised."""
        self._began = now()
        if (fault := unwritable(self.problem)) is not None:
            return self._finish(Ending(Outcome.FAILED, fault))
        deadline = asyncio.timeout(self.limits.deadline_s)
        try:
            async with deadline, self._speculation.open():
                await strategy.solve(self)
            ending = ending_with(self._solution.prefix.outcome, strategy)
        except BudgetExceeded:
            ending = Ending(self._budget.exceeded or Outcome.FAILED)
        except TimeoutError:
            if not deadline.expired():
                raise
            ending = Ending(self._solution.prefix.outcome or Outcome.DEADLINE)
        except (BackendError, ScorerError) as failure:
            ending = ending_by(failure)
        except (asyncio.CancelledError, SpendingLimitReached):
            self._finish(Ending(Outcome.CANCELLED))
            raise
        return self._finish(ending)

    @property
    def spent_usd(self) -> Decimal:
        """Dollars so far."""
        return self._account.spent_usd

    def generated_tokens(self, role: str) -> int:
        """Output tokens of a model's role so far."""
        return self._account.tokens_of(role)

    def note(self, text: str) -> None:
        """Put a note for the reader on the trace."""
        self._fallbacks.notes.append(writable(text))

    def start(self) -> Prefix:
        """The empty prefix."""
        self._emit(Started(self.problem))
        return self._solution.prefix

    async def propose(
        self,
        role: str,
        prefix: Prefix,
        *,
        replacing: Draft | None = None,
        stand_in: str | None = None,
        to_end: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Draft:
        """The role's next step from `prefix`, or with `to_end` everything up to the end of the solution.

        temperature, max_tokens: instead of the role's own.

        `replacing` is the draft that it replaces; if the role fails and the route says `on_strong_failure = accept`,
        that draft is returned instead. `stand_in` is the role that writes if this one fails and the route says
        `on_weak_failure = strong`; its draft is neither scored nor rejected. A degenerate step is continued once and
        left out. A speculative draft from this prefix is awaited instead. Raises BudgetExceeded, ConfigError, and
        BackendError; an error that will not pass is always raised.
        """
        if not to_end and (ready := await self._speculation.take(role, prefix)) is not None:
            draft, written = ready
            for each in written:
                self._emit(Drafted(each))
            return draft
        await self._speculation.drop(role)
        try:
            return await self._drafting.draft(
                role, prefix, to_end=to_end, temperature=temperature, max_tokens=max_tokens
            )
        except BackendError as failure:
            step = len(prefix.steps) + 1
            if replacing is not None and self._fallbacks.keep_draft(failure, role, step):
                return replacing
            if stand_in is None or not self._fallbacks.use_stand_in(failure, role, step, stand_in):
                raise
        draft = await self.propose(stand_in, prefix, to_end=to_end, temperature=temperature, max_tokens=max_tokens)
        self._fallbacks.stand_ins.add(draft.id)
        return draft

    def speculate(
        self, role: str, prefix: Prefix, *, if_accepted: Draft | None = None, steps: int = 1, judge: str | None = None
    ) -> None:
        """Have the role write up to `steps` steps from `prefix`, or from `prefix` with the draft `if_accepted`.

        Each step is scored as soon as it is written if there is a `judge`, a scorer's role. A later `propose` and
        `score` from that prefix take the drafts; a `propose` from another prefix or `cancel_speculation` cancels them.
        Failures are ignored. Nothing is started if the solution ends with `if_accepted`, if an environment answers
        steps, if a budget could bind, or if the backend has no free slot.
        """
        start, outcome = (prefix, None) if if_accepted is None else self._branches.ending(prefix, if_accepted)
        if outcome is not None or self.roles.environment is not None:
            return
        samplings = (model.sampling for model in self.roles.models.values())
        if self._budget.is_ample(samplings, self.limits.max_steps - len(start.steps) + 1, steps):
            self._speculation.start(role, start, steps, judge)

    async def cancel_speculation(self, role: str) -> None:
        """Cancel the role's speculative drafts, if any; their tokens and scores are on the account as cancelled."""
        await self._speculation.drop(role)

    async def score(self, prefix: Prefix, draft: Draft | None, judge: str = "prm") -> tuple[float, ...] | None:
        """r_1 … r_t: the score of every accepted step, and of each of the draft's if there is one.

        judge: the scorer's role. None if the scorer failed and the route declares what `decide` does then; no scores
        for a stand-in, which is kept whatever its score. Raises ScorerError, or BackendError if the scorer's server
        failed; an error that will not pass is always raised.
        """
        if draft is not None and draft.id in self._fallbacks.stand_ins:
            return ()
        longer = prefix if draft is None else prefix.extended(*steps_of(draft, prefix.separator))
        try:
            ready = None if draft is None else await self._speculation.scores(judge, prefix, draft)
            scores = ready or await self._scoring.scores(judge, longer)
        except (BackendError, ScorerError) as failure:
            if not self._fallbacks.go_unscored(failure, judge, len(longer.steps)):
                raise
            return None
        self._solution.note_scores(prefix, scores)
        return scores.values

    async def score_many(self, prefixes: Sequence[Prefix], judge: str = "prm") -> list[tuple[float, ...] | None]:
        """The scores of each prefix, at once. None and errors as for `score`."""
        return await gather_or_cancel(*(self.score(prefix, None, judge) for prefix in prefixes))

    async def decide(
        self, policy: Policy | AskedPolicy, draft: Draft, scores: tuple[float, ...] | None = ()
    ) -> Decision:
        """The policy's decision about `draft`, the declared one if the scorer failed; a stand-in is accepted."""
        decision: Decision
        if draft.id in self._fallbacks.stand_ins:
            decision = Accept()
        elif scores is None:
            decision = self._fallbacks.unscored_decision
        else:
            answer = policy.decide(self.observe(draft, scores))
            decision = await answer if isinstance(answer, Awaitable) else answer
        self._solution.note_decision(draft, scores, decision)
        return decision

    def observe(self, draft: Draft, scores: tuple[float, ...]) -> Observation:
        """The observation of a policy after `draft` was scored."""
        return Observation(
            prefix=self._solution.prefix,
            draft=draft,
            scores=scores,
            max_steps=self.limits.max_steps,
            ladder=self.roles.ladder,
        )

    async def accept(self, draft: Draft) -> Prefix:
        """Add the draft's steps to the solution: `extend` and `commit` in one. A finished prefix has its outcome."""
        steps = self._solution.steps_of(draft)
        return self._solution.accept(await self._branches.extended(self._solution.prefix, draft, steps))

    async def extend(self, prefix: Prefix, draft: Draft) -> Prefix:
        """A branch: `prefix` with the draft's steps and the environment's answer, and its outcome if it ends there.

        `prefix` is one that this episode gave; nothing is committed. Raises EnvironmentFailed.
        """
        return await self._branches.extended(prefix, draft, steps_of(draft, prefix.separator))

    def commit(self, prefix: Prefix) -> Prefix:
        """Make a branch the solution. Tokens of its drafts are accepted, those of all other drafts discarded."""
        return self._solution.commit(prefix)

    def restart(self) -> Prefix:
        """Drop all accepted steps, whose tokens are thereby discarded, and start over from the empty prefix."""
        return self._solution.restart()

    async def propose_many(
        self, role: str, prefixes: Sequence[Prefix], n: int = 1, *, temperature: float | None = None
    ) -> list[list[Draft]]:
        """`n` drafts of the role from each prefix, in its order; at once, unless a budget could bind.

        temperature: instead of the role's own.
        Raises as `propose`, without declared fallbacks: the first failure cancels the other calls.
        """
        sampling = self.roles.model(role).sampling
        calls = [self._drafting.draft(role, prefix, temperature=temperature) for prefix in prefixes for _ in range(n)]
        at_once = self._budget.is_ample([sampling], len(calls), 0)
        drafts = await (gather_or_cancel if at_once else in_turn)(*calls)
        return [drafts[start : start + n] for start in range(0, len(drafts), n)]

    def _finish(self, ending: Ending) -> Trace:
        trace = Trace(
            problem_id=writable(self.problem.id),
            route=writable(self.route),
            steps=self._solution.prefix.steps,
            answer=self._solution.prefix.answer,
            outcome=ending.outcome,
            account=self._account.lines,
            latency_s=now() - self._began,
            seed=self.seed,
            error=None if ending.error is None else writable(ending.error),
            at_fault=ending.at_fault,
            notes=tuple(self._fallbacks.notes),
            fallbacks=tuple(self._fallbacks.failures),
        )
        self._emit(Finished(trace))
        return trace
