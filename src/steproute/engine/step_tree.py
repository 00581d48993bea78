"""Step trees: every step that a model wrote from a prefix and every score, kept on disk and never computed twice.

A node is a prefix; its children are up to `width` sampled steps per model. The tree grows as it is explored. Prefixes
with the same text are one node, so a step that two models word alike leads to the same node.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from os.path import commonprefix
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

import msgspec

from steproute.core.answer_rule import BOXED
from steproute.core.concurrency import KeyedLock, gather_or_cancel
from steproute.core.errors import BackendError, ConfigError, DatasetError, ScorerError
from steproute.core.ports import CAPABILITIES, READS_AUTHORS, READS_CONFIDENCE, NewestStepScorer, StepModel, StepScorer
from steproute.core.replies import returned_scores, sound_draft, sound_scores
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores
from steproute.core.usage import Usage
from steproute.core.usage_bounds import most_scored, most_written, readings
from steproute.engine.frame_file import FrameFile
from steproute.engine.limiter import Limiter, slot_at
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.scorers.step_by_step import StepByStep

FORMAT: Final = 2
_KEPT_SESSIONS: Final = 4096
_REMEDY: Final = "The file was not changed. Name another one, or move it away to grow a new tree."
_T = TypeVar("_T", Draft, Scores)


class _Head(msgspec.Struct, frozen=True, tag="tree"):
    format: int
    width: int


class _Written(msgspec.Struct, frozen=True, tag="draft"):
    key: str
    value: Draft


class _Scored(msgspec.Struct, frozen=True, tag="scores"):
    key: str
    value: Scores


_decoder: Final = msgspec.json.Decoder(_Head | _Written | _Scored)


class StepTree:
    """A tree on disk, held by one process at a time. `requests` counts its calls, `computations` those that it did not
    hold.

    width: how many sampled steps a model has at each prefix; None takes the width of the file, which must exist. Raises
    ConfigError for a width below 1 or another than the file's, DatasetError for a file that is no tree of this format.
    """

    def __init__(self, path: Path, width: int | None) -> None:
        if width is None and not path.is_file():
            raise DatasetError(
                f"{path} does not exist.", where="tree", remedy="Name the tree of a `train` or `compare` run."
            )
        if width is not None and width < 1:
            raise ConfigError(
                f"{width} is below 1.", where="width", remedy="Give the number of samples a model at each prefix."
            )
        self.path, self.width = path, width or 0
        self.requests = self.computations = 0
        self._known: dict[str, Draft | Scores] = {}
        self._under_way = KeyedLock()
        self._frames = FrameFile(path, "tree nodes")
        try:
            self._load(path)
        except (ConfigError, DatasetError):
            self._frames.close()
            raise

    def __len__(self) -> int:
        return len(self._known)

    def __enter__(self) -> "StepTree":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames.close()

    def roles(self, roles: Roles, *, grow: bool = True) -> Roles:
        """The roles with the tree in front of every model and scorer; without `grow` a missing node is an error.

        Only calls that the tree cannot answer take a slot at a backend's limiter.
        """
        return replace(
            roles,
            models={name: self._model_role(role, grow) for name, role in roles.models.items()},
            scorers={name: self._scorer_role(role, grow) for name, role in roles.scorers.items()},
        )

    def _model_role(self, role: ModelRole, grow: bool) -> ModelRole:
        return replace(role, model=TreeModel(self, role.model, grow=grow, limiter=role.limiter), limiter=None)

    def _scorer_role(self, role: ScorerRole, grow: bool) -> ScorerRole:
        if role.members:
            members = {name: self._scorer_role(member, grow) for name, member in role.members.items()}
            return replace(role, members=members)
        if READS_CONFIDENCE.of(role.scorer):  # which differs between authors of the same text
            return role
        return replace(role, scorer=TreeScorer(self, role.scorer, grow=grow, limiter=role.limiter), limiter=None)

    async def get(self, key: str, kind: type[_T], compute: Callable[[], Awaitable[_T]]) -> _T:
        """The value of `key`, computed and kept if it is missing; concurrent requests share one computation."""
        self.requests += 1
        async with self._under_way.hold(key):
            value = self._known.get(key)
            if value is None:
                self.computations += 1
                value = self._known[key] = await compute()
                node = _Written(key, value) if isinstance(value, Draft) else _Scored(key, value)
                self._frames.append(msgspec.json.encode(node) + b"\n")
        assert isinstance(value, kind)
        return value

    def _load(self, path: Path) -> None:
        number = 0
        for number, (_, frame) in enumerate(self._frames.scan(), start=1):
            try:
                node = _decoder.decode(frame)
            except msgspec.DecodeError as failure:
                raise DatasetError(f"{failure}. {_REMEDY}", where=f"{path}, node {number}") from None
            if (number == 1) != isinstance(node, _Head):
                raise DatasetError(f"this is no step tree. {_REMEDY}", where=f"{path}, node {number}")
            if not isinstance(node, _Head):
                self._known[node.key] = node.value
            elif node.format != FORMAT:
                raise DatasetError(f"the tree is of format {node.format}, not {FORMAT}. {_REMEDY}", where=path)
            elif not self.width:
                self.width = node.width
            elif node.width != self.width:
                raise ConfigError(f"{path} holds {node.width} samples a prefix, not {self.width}.", where="width")
        if number == 0:
            if not self.width:
                raise DatasetError(
                    "this is no step tree.", where=path, remedy="Name the tree of a `train` or `compare` run."
                )
            self._frames.append(msgspec.json.encode(_Head(FORMAT, self.width)) + b"\n")


class TreeModel:
    """A step model whose steps come from a tree. The seed of a call picks one of the `width` samples."""

    def __init__(self, tree: StepTree, model: StepModel, *, grow: bool = True, limiter: Limiter | None = None) -> None:
        self.name, self.capabilities = model.name, CAPABILITIES.of(model)
        self._tree, self._model, self._grow, self._limiter = tree, model, grow, limiter
        self._cache = _PrefixCache()

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts, the first of which reads the prompt; see StepModel.propose.

        Raises BackendError for a missing node if the tree must not grow.
        """
        meter = meter or Meter()
        places = [replace(sampling, seed=sampling.seed + i) for i in range(n)]
        first, *others = await gather_or_cancel(*(self._sample(prefix, place, meter) for place in places))
        usage = self._cache.usage(prefix, first.usage, first.text, again=1)
        return [replace(first, usage=usage), *map(_without_prompt, others)]

    async def _sample(self, prefix: Prefix, sampling: Sampling, meter: Meter) -> Draft:
        place = replace(sampling, seed=sampling.seed % self._tree.width)
        key = _key(self.name, place, prefix)

        async def write() -> Draft:
            if not self._grow:
                raise BackendError(
                    f"{self.name} has no step {len(prefix.steps) + 1} here. Let the tree grow.", where="tree"
                )
            alone = replace(prefix, session=key)  # without the cached state of other calls
            part = meter.part()
            async with slot_at(self._limiter, part):
                (draft,) = await self._model.propose(alone, 1, replace(sampling, seed=int(key[:15], 16)), part)
                part.usage = part.usage if part.calls else draft.usage  # for the bill of a draft that is not sound
            return sound_draft(draft, self.name)

        return await self._tree.get(key, Draft, write)

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        """That of `n` calls of its model; see `core.usage_bounds`."""
        one = most_written(self._model, prefix, 1, sampling)
        return sum((one for _ in range(n)), Usage())


class TreeScorer:
    """A step scorer whose scores come from a tree: one node for all steps of a prefix. If the scorer scores each step
    with a separate call, one node for the newest step, which each session pays for once."""

    def __init__(
        self, tree: StepTree, scorer: StepScorer, *, grow: bool = True, limiter: Limiter | None = None
    ) -> None:
        self.name = scorer.name
        self._tree, self._scorer, self._grow, self._limiter = tree, scorer, grow, limiter
        self._cache = _PrefixCache()
        self._newest_alone = isinstance(scorer, NewestStepScorer) and scorer.judges_newest_alone
        self._steps = StepByStep(self.name, self._newest)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """See StepScorer.score. Raises ScorerError for a missing node if the tree must not grow."""
        scorer, meter = self._scorer, meter or Meter()
        if self._newest_alone:
            return await self._steps.score(prefix, meter)
        key = _key(self.name, "authors" if READS_AUTHORS.of(scorer) else None, prefix)
        async with self._cache.turn(prefix.session) as before:
            scores = await self._node(key, prefix, meter, lambda alone: scorer.score(alone, meter), len(prefix.steps))
            await before.wait()
            return scores if scores.calls else replace(scores, usage=self._cache.usage(prefix, scores.usage))

    def most_usage(self, prefix: Prefix) -> Usage:
        """That of its scorer, for each step if that is one call; see `core.usage_bounds`."""
        return sum((most_scored(self._scorer, part) for part in readings(self._scorer, prefix)), Usage())

    async def _newest(self, prefix: Prefix, meter: Meter) -> Scores:
        scorer = self._scorer
        assert isinstance(scorer, NewestStepScorer)
        key = _key(self.name, "newest", prefix)
        scores = await self._node(key, prefix, meter, lambda alone: scorer.score_newest(alone, meter), 1)
        meter.usage = scores.usage  # also if it was not computed now
        return scores

    async def _node(
        self, key: str, prefix: Prefix, meter: Meter, score: Callable[[Prefix], Awaitable[Scores]], steps: int
    ) -> Scores:
        async def compute() -> Scores:
            if not self._grow:
                raise ScorerError(
                    f"{self.name} has no score of step {len(prefix.steps)}. Let the tree grow.", where="tree"
                )
            async with slot_at(self._limiter, meter):
                # without the cached state of other calls
                scores = returned_scores(await score(replace(prefix, session=key)), self.name)
                meter.usage = meter.usage if meter.calls else scores.usage  # for the bill of scores that are not sound
            return sound_scores(scores, self.name, steps)

        return await self._tree.get(key, Scores, compute)


class _PrefixCache:
    """The tokens that a session's calls would have read from a prefix cache: a node is computed without one.

    Exact if a call continues the session's last one, else in proportion to the characters that both share.
    """

    def __init__(self) -> None:
        self._newest: OrderedDict[tuple[str, bool], tuple[str, int]] = OrderedDict()
        self._calls: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def turn(self, session: str) -> AsyncIterator[asyncio.Event]:
        """A call of the session; gives what is set once the call before it has ended. So calls that run at once are
        billed in the order of asking."""
        ended, before = asyncio.Event(), self._calls.get(session)
        if before is None:
            before = asyncio.Event()
            before.set()
        self._calls[session] = ended
        try:
            yield before
        finally:
            ended.set()
            if self._calls[session] is ended:
                del self._calls[session]

    def usage(self, prefix: Prefix, usage: Usage, written: str = "", again: int = 0) -> Usage:
        """The usage with what the session's last call read and wrote taken from the cache.

        again: tokens at the end that are read again even if they are cached.
        """
        advice = prefix.advice.texts  # stands in front: nothing kept
        text = prefix.separator.join([*advice, prefix.problem.canonical, *(step.text for step in prefix.steps), ""])
        read = usage.read_tokens
        session = prefix.session, bool(prefix.advice)  # advised calls leave what the others have in the cache
        before, tokens = self._newest.pop(session, ("", 0))
        longer = text.startswith(before)  # the usual case, and fast to check
        common = len(before) if longer else len(commonprefix([before, text]))  # noqa: RUF071 - texts, not paths
        kept = min(tokens * common // len(before) if before else 0, read - again)
        self._newest[session] = text + written, read + max(0, usage.output_tokens - 1)
        if len(self._newest) > _KEPT_SESSIONS:
            self._newest.popitem(last=False)
        return replace(
            usage, input_tokens=read - kept, cache_read_tokens=kept, cache_write_tokens=0, cache_write_1h_tokens=0
        )


def _without_prompt(draft: Draft) -> Draft:
    return replace(draft, usage=Usage(output_tokens=draft.usage.output_tokens))


def _key(name: str, place: Sampling | str | None, prefix: Prefix) -> str:
    """The model or scorer, its sampling and the text, and for some scorers which steps the weak model wrote. They alone
    determine a node's content."""
    rule = prefix.problem.rule
    parts: tuple[Any, ...] = (name, place, prefix.problem.canonical, prefix.separator, prefix.text)
    if rule is not BOXED:  # older trees have only this rule and do not name it
        parts += (rule.name,)
    if place == "authors":
        parts += (tuple(step.role == "weak" for step in prefix.steps),)
    if prefix.advice:
        parts += (prefix.advice,)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
