"""One problem being solved: the strategy's handle for proposing, scoring, deciding and accepting, and its account."""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import count, pairwise
from typing import Any, Final

from steproute.core.concurrency import gather_or_cancel
from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import (
    BackendError,
    BudgetExceeded,
    ContextOverflow,
    ScorerError,
    SpendingLimitReached,
    TooFewTokens,
)
from steproute.core.events import Accepted, Billed, Decided, Drafted, Event, Finished, Scored, Started
from steproute.core.observation import Observation
from steproute.core.ports import AskedPolicy, CombiningScorer, Environment, Policy, Strategy
from steproute.core.problem import Problem
from steproute.core.replies import returned_scores, sound_draft, sound_scores
from steproute.core.solution import DEFAULT_SEPARATOR, ENVIRONMENT, Draft, Meter, Outcome, Prefix, Scores, Step, Stop
from steproute.core.splitting import split_steps
from steproute.core.trace import Fallback, Trace, total_usage
from steproute.core.usage import Purpose
from steproute.core.writable import is_writable, writable
from steproute.engine.account import Account
from steproute.engine.budget import Budget
from steproute.engine.limits import Limits
from steproute.engine.metering import Bill, MeteredCalls, blamed, now
from steproute.engine.roles import Roles, ScorerRole
from steproute.engine.speculation import Place, Speculation, SpeculativeCalls, SpeculativeDraft

_NUMBERS: Final = count()  # a problem that is solved again finds nothing in a backend's cache, so it costs the same


class Episode:
    """State of one problem from start to trace.

    Strategies call `start`, `propose`, `score`, `decide` and `accept`; to search, `propose_many`, `score_many`,
    `extend` and `commit`; to save time, `speculate` and `cancel_speculation`. Tokens, money, retries, budgets,
    deadlines and cancellation are kept here and nowhere else.
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
        self._account = Account(lambda line: on_event(Billed(line)))
        self._budget = Budget(limits, self._account)
        self._calls = MeteredCalls(self._account, limits.retries)
        session = f"{route}/{seed}/{problem.id}/{next(_NUMBERS)}"
        self._prefix = Prefix(problem=problem, separator=separator, session=session)
        self._attempts: Counter[Place] = Counter()
        self._drafts = 0
        self._clamped: dict[int, Outcome] = {}
        self._newest: tuple[Draft, tuple[float, ...] | None, Decision | None] | None = None
        self._notes: list[str] = []
        self._fallbacks: list[Fallback] = []
        self._stand_ins: set[int] = set()
        self._speculation = Speculation(self._undo)
        self._began = 0.0

    async def run(self, strategy: "Strategy[Episode]") -> Trace:
        """Solve the problem; every ending returns a trace, but cancellation and a spending limit that is reached, which
        emit one that counts as cancelled and are raised on."""
        outcome, error, role = Outcome.FAILED, None, None
        self._began = now()
        if (fault := _unwritable(self.problem)) is not None:
            return self._finish(Outcome.FAILED, fault)
        deadline = asyncio.timeout(self.limits.deadline_s)
        try:
            async with deadline, self._speculation.open():
                await strategy.solve(self)
            if self._prefix.outcome is None:
                error = f"the strategy {type(strategy).__name__} returned before the solution had ended"
            outcome = self._prefix.outcome or Outcome.FAILED
        except BudgetExceeded:
            outcome = self._budget.exceeded or Outcome.FAILED
        except ContextOverflow:
            outcome = Outcome.CONTEXT_OVERFLOW
        except TimeoutError:
            if not deadline.expired():
                raise
            outcome = self._prefix.outcome or Outcome.DEADLINE
        except (BackendError, ScorerError) as failure:
            error, role = _said(failure), failure.role
        except (asyncio.CancelledError, SpendingLimitReached):
            self._finish(Outcome.CANCELLED, None)
            raise
        return self._finish(outcome, error, role)

    @property
    def spent_usd(self) -> Decimal:
        """Dollars so far."""
        return self._account.spent_usd

    def generated_tokens(self, role: str) -> int:
        """Output tokens of a writer's role so far."""
        lines = (line for line in self._account.lines if line.role == role and line.purpose is not Purpose.SCORE)
        return total_usage(lines).output_tokens

    def start(self) -> Prefix:
        """The empty prefix."""
        self._emit(Started(self.problem))
        return self._prefix

    async def propose(
        self,
        role: str,
        prefix: Prefix,
        *,
        replacing: Draft | None = None,
        stand_in: str | None = None,
        to_end: bool = False,
    ) -> Draft:
        """The role's next step from `prefix`, or with `to_end` everything up to the end of the solution.

        `replacing` is the draft that it stands in for; where the role fails and the route says
        `on_strong_failure = accept`, that draft comes back instead. `stand_in` is the role that writes where this one
        fails and the route says `on_weak_failure = strong`; its draft is neither scored nor rejected. A degenerate step
        is continued once and spliced away. A speculative draft from here is awaited instead. Raises
        BudgetExceeded, ConfigError, and BackendError, which an error that will not pass always is.
        """
        if not to_end and (ready := await self._speculation.take(role, prefix)) is not None:
            draft, written = ready
            for each in written:
                self._emit(Drafted(each))
            return draft
        await self._speculation.drop(role)
        try:
            return await self._whole(role, prefix, to_end)
        except BackendError as failure:
            failed = f"step {len(prefix.steps) + 1}: {role} failed ({failure})"
            if replacing is not None and self.limits.on_strong_failure == "accept":
                self._fall_back(failure, role, f"{failed}; the draft was accepted")
                return replacing
            if stand_in is None or self.limits.on_weak_failure == "fail":
                raise
            self._fall_back(failure, role, f"{failed}; {stand_in} wrote it")
        draft = await self.propose(stand_in, prefix, to_end=to_end)
        self._stand_ins.add(draft.id)
        return draft

    def speculate(
        self, role: str, prefix: Prefix, *, if_accepted: Draft | None = None, steps: int = 1, judge: str | None = None
    ) -> None:
        """Have the role write up to `steps` steps from `prefix`, or from `prefix` with the draft `if_accepted`.

        Each step is scored as soon as it is written if there is a `judge`. Speculation never changes a solution: a
        later `propose` and `score` from that prefix take the drafts, a `propose` from another prefix or
        `cancel_speculation` cancels them, failures are ignored, and a cancelled draft releases its seeds. Nothing is
        started if the solution ends with `if_accepted`, if an environment answers steps, if a budget could bind, or if
        the backend has no free slot.
        """
        start = prefix if if_accepted is None else self._after(prefix, if_accepted)
        if start is None or self.roles.environment is not None:
            return
        samplings = (writer.sampling for writer in self.roles.models.values())
        if not self._budget.is_ample(samplings, self.limits.max_steps - len(start.steps) + 1, steps):
            return
        calls = SpeculativeCalls(
            write=lambda speculative: self._whole(role, speculative.prefix, False, speculative),
            after=self._after,
            judge=judge,
            score=self._speculative_scores,
        )
        self._speculation.start(role, start, steps, calls)

    async def cancel_speculation(self, role: str) -> None:
        """Cancel the role's speculative drafts, if any; their tokens and scores are on the account as cancelled."""
        await self._speculation.drop(role)

    async def score(self, prefix: Prefix, draft: Draft | None, judge: str = "prm") -> tuple[float, ...] | None:
        """r_1 … r_t: the judge's score of every accepted step and of each of the draft's, if there is one.

        None where the scorer failed and the route declares what to do then (`decide` does it), and nothing for a
        stand-in, which is kept whatever its score. Raises ScorerError, or BackendError where the scorer's server
        failed; one that will not pass is always raised.
        """
        if draft is not None and draft.id in self._stand_ins:
            return ()
        judged = prefix if draft is None else prefix.extended(*self._steps(draft))
        try:
            ready = None if draft is None else await self._speculation.scores(judge, prefix, draft)
            scores = ready or await self._scores(judge, self.roles.scorer(judge), judged.for_scorers)
        except (BackendError, ScorerError) as failure:
            if self.limits.on_scorer_failure == "fail":
                raise
            declared = f"{self.limits.on_scorer_failure} as declared"
            self._fall_back(failure, judge, f"step {len(judged.steps)}: the scorer failed ({failure}); {declared}")
            return None
        self._emit(Scored(scores))
        if prefix.text == self._prefix.text:
            values = iter(scores.values)
            self._prefix = replace(self._prefix, steps=tuple(_scored(step, values) for step in self._prefix.steps))
        return scores.values

    async def decide(
        self, policy: Policy | AskedPolicy, draft: Draft, scores: tuple[float, ...] | None = ()
    ) -> Decision:
        """The policy's decision about `draft`, the declared one if the scorer failed; a stand-in is accepted."""
        decision: Decision
        if draft.id in self._stand_ins:
            decision = Accept()
        elif scores is None:
            decision = Accept() if self.limits.on_scorer_failure == "accept" else Rewrite("strong")
        else:
            decided = policy.decide(self.observe(draft, scores))
            decision = await decided if isinstance(decided, Awaitable) else decided
        self._newest = (draft, scores, decision)
        self._emit(Decided(decision))
        return decision

    def observe(self, draft: Draft, scores: tuple[float, ...]) -> Observation:
        """What a policy sees of the moment after `draft` was scored."""
        return Observation(
            prefix=self._prefix,
            draft=draft,
            scores=scores,
            max_steps=self.limits.max_steps,
            ladder=self.roles.ladder,
        )

    async def accept(self, draft: Draft) -> Prefix:
        """Add the draft's steps to the solution: `extend` and `commit` in one. A finished prefix has its outcome."""
        done = len(self._prefix.steps)
        longer = await self.extend(self._prefix, draft)
        if self._newest is not None:
            first = self._annotated(longer.steps[done], draft)
            longer = replace(longer, steps=(*longer.steps[:done], first, *longer.steps[done + 1 :]))
        return self.commit(longer)

    async def extend(self, prefix: Prefix, draft: Draft) -> Prefix:
        """A branch: `prefix` with the draft's steps and the environment's answer, and its outcome if it ends there.

        `prefix` is one that this episode gave; nothing is committed to. Raises EnvironmentFailed.
        """
        longer = prefix.extended(*self._steps(draft))
        outcome = self._outcome(draft, longer)
        if outcome is None and self.roles.environment is not None:
            longer, outcome = await self._answered(longer, self.roles.environment)
        return replace(longer, drafts=(*prefix.drafts, draft.id), outcome=outcome)

    async def _answered(self, prefix: Prefix, environment: Environment) -> tuple[Prefix, Outcome | None]:
        """The prefix with the environment's answer to its newest step, and how the solution ends if it does."""
        with blamed(ENVIRONMENT):
            response = await environment.respond(prefix)
        rewarded = replace(prefix, steps=(*prefix.steps[:-1], replace(prefix.steps[-1], reward=response.reward)))
        answer = [Step(role=ENVIRONMENT, text=response.text, tokens=0)] if response.text else []
        longer = rewarded.extended(*answer)
        if response.ends:
            return longer, Outcome.COMPLETED if longer.answer is None else Outcome.ANSWERED
        return longer, None

    def commit(self, prefix: Prefix) -> Prefix:
        """Make a branch the solution. Tokens of its drafts are accepted, those of all other drafts discarded."""
        before, self._prefix = self._prefix, prefix
        if prefix.drafts[: len(before.drafts)] == before.drafts:  # it goes on from there, the usual case
            taken_back, kept = 0, len(before.steps)
        else:
            taken_back, kept = len(before.drafts), _shared_steps(before, prefix)
        for draft in before.drafts[:taken_back]:
            self._account.settle(draft, Purpose.DISCARDED)
        for draft in prefix.drafts[len(before.drafts) - taken_back :]:
            self._account.settle(draft, Purpose.ACCEPTED)
        for step in prefix.steps[kept:]:
            self._emit(Accepted(step))
        return prefix

    def restart(self) -> Prefix:
        """Drop all accepted steps, whose tokens are thereby discarded, and start over from the empty prefix."""
        return self.commit(replace(self._prefix, steps=(), drafts=(), outcome=None))

    async def propose_many(self, role: str, prefixes: Sequence[Prefix], n: int = 1) -> list[list[Draft]]:
        """`n` drafts of the role from each prefix, in its order; at once, unless a budget could bind.

        Raises as `propose`, which declared fallbacks do not prevent: the first failure cancels the other calls.
        """
        sampling = self.roles.model(role).sampling
        calls = [self._whole(role, prefix, False) for prefix in prefixes for _ in range(n)]
        if self._budget.is_ample([sampling], len(calls), 0):
            drafts = await gather_or_cancel(*calls)
        else:
            drafts = await _in_turn(calls)
        return [drafts[at : at + n] for at in range(0, len(drafts), n)]

    async def score_many(self, prefixes: Sequence[Prefix], judge: str = "prm") -> list[tuple[float, ...] | None]:
        """The scores of each prefix, at once. None and errors as for `score`."""
        return await gather_or_cancel(*(self.score(prefix, None, judge) for prefix in prefixes))

    def _fall_back(self, failure: BackendError | ScorerError, role: str, note: str) -> None:
        """Go on without what failed, and say so on the trace; raises a failure that will not pass."""
        if failure.is_lasting:
            raise failure
        self._fallbacks.append(Fallback(role=failure.role or role, reason=writable(_said(failure))))
        self._notes.append(note)

    def _steps(self, draft: Draft) -> list[Step]:
        texts = split_steps(draft.text, self._prefix.separator)
        tokens = _shared(draft, texts)
        sure = draft.confidence if len(texts) == 1 else None
        return [
            Step(role=draft.role, text=text, tokens=n, confidence=sure) for text, n in zip(texts, tokens, strict=True)
        ]

    async def _scores(self, role: str, judge: ScorerRole, prefix: Prefix, key: Hashable = None) -> Scores:
        """A judge's scores, each of its model calls on the account; an ensemble's members are asked at once.

        key: of speculative scores, under which the calls' lines are settled if they are not needed.
        """
        with blamed(role):
            return await self._judged(role, judge, prefix, key)

    async def _judged(self, role: str, judge: ScorerRole, prefix: Prefix, key: Hashable) -> Scores:
        scorer = judge.scorer
        if judge.members:
            assert isinstance(scorer, CombiningScorer)
            members = await gather_or_cancel(
                *(self._scores(name, one, prefix, key) for name, one in judge.members.items())
            )
            scores = scorer.combined(members)
        else:
            bill = Bill(role=role, model=scorer.name, price=judge.price)
            speculative = key is not None

            async def ask(meter: Meter) -> Scores:
                return returned_scores(await scorer.score(prefix, meter), scorer.name)

            try:
                scores = await self._calls.make(bill, judge.limiter, ask, speculative=speculative)
            except ContextOverflow as failure:  # the judge's, which says nothing about the solution
                raise ScorerError(
                    f"step {len(prefix.steps)} finds no room in its context ({failure}).",
                    where=scorer.name,
                    remedy="Give it a longer one, or set limits.max_steps lower.",
                ) from None
            for call in scores.billed:
                self._account.enter(bill.line(Purpose.SCORE, call.usage, call.latency_s, call.request_id), key)
        return sound_scores(scores, scorer.name, len(prefix.steps))

    async def _speculative_scores(self, role: str, prefix: Prefix, draft: Draft) -> Scores:
        judged = prefix.extended(*self._steps(draft))
        return await self._scores(role, self.roles.scorer(role), judged, ("scores", draft.id))

    def _after(self, prefix: Prefix, draft: Draft) -> Prefix | None:
        """The prefix with `draft` accepted; None where the solution ends with it."""
        longer = prefix.extended(*self._steps(draft))
        return longer if self._outcome(draft, longer) is None else None

    async def _whole(
        self, role: str, prefix: Prefix, to_end: bool, speculative: SpeculativeDraft | None = None
    ) -> Draft:
        """A draft that is not degenerate, where one continuation is enough for that."""
        with blamed(role):
            draft = await self._draft(role, prefix, to_end, speculative)
            if draft.degenerate and draft.stop is Stop.SEPARATOR:
                further = prefix.extended(Step(role=role, text=draft.text, tokens=0))
                draft = await self._draft(role, further, to_end, speculative)
        return draft

    async def _draft(self, role: str, prefix: Prefix, to_end: bool, speculative: SpeculativeDraft | None) -> Draft:
        writer = self.roles.model(role)
        place = (role, prefix.texts)
        self._attempts[place] += 1
        if speculative is not None:
            speculative.places.append(place)
        seed = call_seed(self.seed, self.problem.id, role, len(prefix.steps), self._attempts[place])
        wanted = replace(writer.sampling, stop=None if to_end else prefix.separator, seed=seed)
        bill = Bill(role=role, model=writer.model.name, price=writer.price)
        clamp: Outcome | None = None

        def write(meter: Meter) -> Awaitable[list[Draft]]:
            nonlocal clamp
            sampling, clamp = self._budget.clamp(wanted, writer.price)  # anew at each try, which spends, too
            return writer.model.propose(prefix, 1, sampling, meter)

        self._budget.clamp(wanted, writer.price)
        try:
            (draft,) = await self._calls.make(bill, writer.limiter, write, speculative=speculative is not None)
        except TooFewTokens as failure:
            if clamp is None:
                raise
            raise self._budget.end(clamp, str(failure)) from None
        self._drafts += 1
        draft = replace(draft, id=self._drafts, role=role)
        for call in draft.sent_back:
            self._account.enter(bill.line(Purpose.RETRY, call.usage, call.latency_s, call.request_id))
        line = bill.line(Purpose.DISCARDED, draft.usage, draft.latency_s, draft.request_id)
        self._account.enter(line, draft.id)
        if clamp is not None:
            self._clamped[draft.id] = clamp
        sound_draft(draft, writer.model.name)
        if speculative is None:
            self._emit(Drafted(draft))
        else:
            speculative.written.append(draft)
        return draft

    def _undo(self, speculative: SpeculativeDraft) -> None:
        """Forget a speculative draft that was not needed, except for what it spent."""
        self._attempts.subtract(speculative.places)
        for draft in speculative.written:
            self._account.settle(draft.id, Purpose.CANCELLED)
            self._account.settle(("scores", draft.id), Purpose.CANCELLED)

    def _annotated(self, step: Step, draft: Draft) -> Step:
        """The step with the score and the decision that it came from."""
        if self._newest is None:
            return step
        (seen, scores, decision), self._newest = self._newest, None
        score = scores[-1] if scores else None
        if seen.id == draft.id:
            return replace(step, score=score, decision=decision)
        return replace(step, decision=decision, rejected=seen.text, rejected_score=score)

    def _outcome(self, draft: Draft, prefix: Prefix) -> Outcome | None:
        """How the solution ends with `draft`, whose steps are the prefix's last; None where it goes on."""
        if prefix.answer is not None:
            return Outcome.ANSWERED
        if draft.stop is Stop.END:
            return Outcome.ENDED_WITHOUT_ANSWER if self.problem.rule.extracts else Outcome.COMPLETED
        if draft.stop is Stop.CONTEXT:
            return Outcome.CONTEXT_OVERFLOW
        if draft.stop is Stop.LENGTH:
            return self._clamped.get(draft.id, Outcome.STEP_TOO_LONG)
        if draft.degenerate:
            return Outcome.DEGENERATE
        return Outcome.MAX_STEPS if len(prefix.written) >= self.limits.max_steps else None

    def _finish(self, outcome: Outcome, error: str | None, role: str | None = None) -> Trace:
        trace = Trace(
            problem_id=writable(self.problem.id),
            route=writable(self.route),
            steps=self._prefix.steps,
            answer=self._prefix.answer,
            outcome=outcome,
            account=self._account.lines,
            latency_s=now() - self._began,
            seed=self.seed,
            error=None if error is None else writable(error),
            at_fault=role,
            notes=tuple(writable(note) for note in self._notes),
            fallbacks=tuple(self._fallbacks),
        )
        self._emit(Finished(trace))
        return trace


def _shared_steps(one: Prefix, other: Prefix) -> int:
    """How many steps two prefixes begin with in common."""
    pairs = zip(one.texts, other.texts, strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(one.steps), len(other.steps)))


def _scored(step: Step, values: Iterator[float]) -> Step:
    """A step with the next score; an environment's answer has none."""
    return step if step.role == ENVIRONMENT else replace(step, score=next(values))


async def _in_turn(calls: Sequence[Coroutine[Any, Any, Draft]]) -> list[Draft]:
    """The results of calls that are made one after the other; those after a failure are never made."""
    waiting = deque(calls)
    try:
        return [await waiting.popleft() for _ in calls]
    finally:
        for call in waiting:
            call.close()


def _said(failure: BackendError | ScorerError) -> str:
    return f"{type(failure).__name__}: {failure}"


def _unwritable(problem: Problem) -> str | None:
    for name, text in (("id", problem.id), ("text", problem.canonical)):
        if not is_writable(text):
            return (
                f"problem.{name}: holds half a character, {writable(text)[:80]!r}, which no file can hold. Correct the "
                "data."
            )
    return None


def call_seed(seed: int, problem_id: str, role: str, step: int, attempt: int) -> int:
    """The seed of one call: not the route's, so that routes share their random numbers. `attempt` counts from 1."""
    parts = seed, problem_id, role, step, attempt
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest())


def _shared(draft: Draft, texts: list[str]) -> list[int]:
    """The draft's output tokens, step by step: as reported, else in proportion to the characters."""
    if draft.step_tokens is not None and len(draft.step_tokens) == len(texts):
        return list(draft.step_tokens)
    ends = [0]
    for text in texts:
        ends.append(ends[-1] + len(text) + 1)
    marks = [draft.usage.output_tokens * end // ends[-1] for end in ends]
    return [after - before for before, after in pairwise(marks)]
