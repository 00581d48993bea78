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
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Final

from steproute.core.concurrency import in_turn
from steproute.core.decision import Accept, Decision
from steproute.core.errors import BackendError, BudgetExceeded, ConfigError, ScorerError, SpendingLimitReached
from steproute.core.events import Billed, Drafted, Event, Finished, Started
from steproute.core.observation import Moment, Observation
from steproute.core.ports import AskedPolicy, Chooser, Policy, Strategy
from steproute.core.problem import Problem
from steproute.core.solution import DEFAULT_SEPARATOR, Draft, Outcome, Prefix, Step
from steproute.core.trace import AnswerVotes, ToolUse, Trace
from steproute.core.writable import writable
from steproute.engine.account import Account
from steproute.engine.branches import Branches
from steproute.engine.budget import Budget
from steproute.engine.candidates import Candidate, Sessions, merged
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

    Strategies call `start`, `propose`, `score`, `decide`, `accept` and `finish`; `choose` to have a chooser say who
    writes; to search, `candidates`, `score_candidates`, `extend` and `commit`, or `propose_many` and `score_many`; to
    save time, `speculate` and `cancel_speculation`.
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
        history: tuple[Step, ...] = (),
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """history: the steps with which the solution begins, such as an agent's earlier turns."""
        self.problem, self.roles, self.limits, self.route, self.seed = problem, roles, limits, route, seed
        self._emit = on_event
        limits.check_roles(roles.models)
        session = f"{route}/{seed}/{problem.id}/{next(_NUMBERS)}"
        self._fallbacks = Fallbacks(limits)
        self._account = Account(lambda line: on_event(Billed(line)))
        self.empty = Prefix(problem=problem, steps=history, separator=separator, session=session)
        self._solution = Committed(self.empty, self._account, on_event)
        self._budget = Budget(limits)
        calls = MeteredCalls(self._account, limits.retries)
        self._drafting = Drafting(roles, seed, calls, self._account, self._budget, on_event)
        self._scoring = Scoring(roles, calls, self._account, self._budget)
        self._branches = Branches(roles.environment, limits.max_steps, self._drafting)
        self._sessions = Sessions()
        self._speculation = Speculation(self._drafting, self._scoring, self._branches, self._account)
        self._answer_votes: tuple[AnswerVotes, ...] = ()
        self._tools: list[ToolUse] = []
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

    @property
    def accepted(self) -> tuple[int, ...]:
        """The ids of the drafts that the solution so far is made of."""
        return self._solution.prefix.drafts

    def start(self) -> Prefix:
        """The prefix that the solution begins with, usually the empty one."""
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
        left out. A speculative draft from this prefix is awaited instead. Raises BudgetExceeded, ConfigError (also for
        `to_end` if an environment answers each step; see `finish`), and BackendError; an error that will not pass is
        always raised.
        """
        self._check_to_end(to_end)
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

    async def finish(
        self, role: str, prefix: Prefix, *, replacing: Draft | None = None, stand_in: str | None = None
    ) -> Prefix:
        """Accept what the role writes to the end of the solution: in one call, or step by step if an environment
        answers. A draft that is kept because the role failed is accepted alone. Arguments and errors as `propose`."""
        answered = self.roles.environment is not None
        draft = await self.propose(role, prefix, replacing=replacing, stand_in=stand_in, to_end=not answered)
        prefix = await self.accept(draft)
        while answered and draft is not replacing and not prefix.finished:
            prefix = await self.accept(await self.propose(role, prefix, stand_in=stand_in))
        return prefix

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
        samplings = {name: model.sampling for name, model in self.roles.models.items()}
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
        return await self._account.at_once(*(self.score(prefix, None, judge) for prefix in prefixes))

    async def score_candidates(
        self, candidates: Sequence[Candidate], judge: str = "prm"
    ) -> list[tuple[float, ...] | None]:
        """The scores of each candidate and the steps before it, at once. None and errors as for `score`."""
        return await self._account.at_once(
            *(self.score(self._sessions.of(each.prefix), each.draft, judge) for each in candidates)
        )

    async def decide(
        self,
        policy: Policy | AskedPolicy,
        draft: Draft,
        scores: tuple[float, ...] | None = (),
        *,
        rungs: tuple[str, ...] = (),
    ) -> Decision:
        """The policy's decision about `draft`, the declared one if the scorer failed; a stand-in is accepted.

        rungs: second chances that the strategy offers between the weak model and the next one.
        """
        decision: Decision
        if draft.id in self._fallbacks.stand_ins:
            decision = Accept()
        elif scores is None:
            decision = self._fallbacks.unscored_decision
        else:
            answer = policy.decide(self.observe(draft, scores, rungs=rungs))
            decision = await answer if isinstance(answer, Awaitable) else answer
        self._solution.note_decision(draft, scores, decision)
        return decision

    def observe(
        self,
        draft: Draft,
        scores: tuple[float, ...],
        prefix: Prefix | None = None,
        *,
        rungs: tuple[str, ...] = (),
    ) -> Observation:
        """The observation of a policy after `draft` was scored, from the solution so far or from another `prefix`.

        rungs: see `decide`.
        """
        weak, *others = self.roles.ladder
        return Observation(
            prefix=self._solution.prefix if prefix is None else prefix,
            draft=draft,
            scores=scores,
            max_steps=self.limits.max_steps,
            ladder=(weak, *rungs, *others) if rungs else self.roles.ladder,
        )

    def choose(self, chooser: Chooser, scores: tuple[float, ...] | None = ()) -> str:
        """Who writes the next step: the chooser's role, or the declared one if the scorer failed.

        If the limits cannot pay its next call, the next cheaper role that they can pay. scores: of the accepted steps.
        Raises ConfigError for a role outside the ladder, BudgetExceeded if no role can be paid.
        """
        if scores is None:
            declared = "weak" if self._fallbacks.unscored_decision == Accept() else "strong"
            return self._within_limits(declared, self.moment(()))
        moment = self.moment(scores)
        role = chooser.choose(moment)
        if role not in self.roles.ladder:
            ladder = ", ".join(self.roles.ladder)
            raise ConfigError(
                f"the chooser names {role!r}, and the roles that may write are {ladder}.",
                where="policy",
                remedy="Use another chooser, or set [roles] ladder.",
            )
        return self._within_limits(role, moment)

    def affordable(self, role: str) -> bool:
        """Whether every limit can pay the role's next call from the solution so far, however much it writes."""
        return self._binding(role) is None

    def moment(self, scores: tuple[float, ...]) -> Moment:
        """What a chooser sees before the next step, with the scores of the accepted ones."""
        return Moment(
            prefix=self._solution.prefix,
            scores=scores,
            ladder=self.roles.ladder,
            prices={role: self.roles.model(role).price for role in self.roles.ladder},
            max_steps=self.limits.max_steps,
            affordable=tuple(role for role in self.roles.ladder if self.affordable(role)),
            left_usd=self._budget.left_usd,
            limit_usd=self.limits.max_cost_usd,
            calls_left=self._budget.calls_left,
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

    def note_tool(self, use: ToolUse) -> None:
        """Keep an action and its output on the trace."""
        self._tools.append(use)

    def restart(self) -> Prefix:
        """Drop all accepted steps, whose tokens are thereby discarded, and start over from the empty prefix."""
        return self._solution.restart()

    async def candidates(
        self, role: str, prefixes: Sequence[Prefix], n: int = 1, *, temperature: float | None = None
    ) -> list[Candidate]:
        """The distinct ones of `n` drafts from each prefix, with their votes; see `propose_many`."""
        return merged(prefixes, await self.propose_many(role, prefixes, n, temperature=temperature))

    async def propose_many(
        self,
        role: str,
        prefixes: Sequence[Prefix],
        n: int = 1,
        *,
        to_end: bool = False,
        temperature: float | None = None,
    ) -> list[list[Draft]]:
        """`n` drafts of the role from each prefix, in its order; all at once, unless a budget could bind.

        The drafts of one prefix are one call if the model can write several, and share one seed: the first m of n are
        those that a call for m gives. A budget that cannot pay for n drafts at full length lowers n, to 1 at least.
        temperature: instead of the role's own. Raises as `propose`, without declared fallbacks: the first failure
        cancels the other calls.
        """
        self._check_to_end(to_end)
        sampling = self.roles.model(role).sampling
        calls = [
            self._drafting.drafts(role, prefix, n, to_end=to_end, temperature=temperature)
            for prefix in self._sessions.apart(prefixes)
        ]
        at_once = self._budget.is_ample({role: sampling}, len(calls) * n, 0)
        return await (self._account.at_once if at_once else in_turn)(*calls)

    def note(self, text: str) -> None:
        """Tell the trace's readers what the strategy did, once."""
        if text not in self._fallbacks.notes:
            self._fallbacks.notes.append(writable(text))

    def note_answers(self, votes: Sequence[AnswerVotes]) -> None:
        """Keep on the trace what a vote over whole solutions was between, the winner first."""
        self._answer_votes = tuple(votes)

    def _check_to_end(self, to_end: bool) -> None:
        if to_end and self.roles.environment is not None:
            raise ConfigError(
                "an environment answers each step, and this strategy has a model write whole solutions in one call.",
                where=self.route,
                remedy="Use stepwise, second-chances, beam, query or single, or remove roles.environment.",
            )

    def _within_limits(self, role: str, moment: Moment) -> str:
        if not moment.affordable:
            outcome = self._binding(moment.ladder[0]) or Outcome.FAILED
            raise self._budget.end(outcome, "no role's next call can be paid")
        return moment.within_budget(role)

    def _binding(self, role: str) -> Outcome | None:
        prefix, model = self._solution.prefix, self.roles.model(role)
        return self._budget.binding(role, model, prefix, replace(model.sampling, stop=prefix.separator))

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
            answer_votes=self._answer_votes,
            tools=tuple(self._tools),
        )
        self._emit(Finished(trace))
        return trace
