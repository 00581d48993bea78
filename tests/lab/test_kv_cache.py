"""Sessions of the lab's models: what they keep is bounded, and nothing but the price depends on what is kept."""

import asyncio
from dataclasses import replace
from importlib.resources import files
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from steproute import Draft, Prefix, Step
from steproute.lab.kv_cache import CACHE_BYTES, KvCache
from steproute.lab.models import LAB_SAMPLING, LabModel, LabPrm, worker
from steproute.lab.network import Network
from steproute.lab.story import Story, generate
from steproute.lab.worker import Worker

SHAPE = (2, 3, 4)
CONTEXT = 40
SMALL = 3 * 2**20
PROBLEMS = list(islice(generate("validation", 5), 16))
WEIGHTS = Path(str(files("steproute.lab"))) / "weights"


def cache(blocks: int) -> KvCache:
    """Room for so many blocks of 16 tokens, whose outputs are two numbers."""
    return KvCache(SHAPE, 2, CONTEXT, most_bytes=blocks * 16 * 4 * (2 * 2 * 3 * 4 + 2))


def row(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys and values of a full context."""
    keys, values = np.random.default_rng(seed).random((2, 2, 3, CONTEXT, 4)).astype(np.float32)
    return keys, values


def held(kept: KvCache, name: str) -> tuple[np.ndarray, np.ndarray]:
    session = kept.open(name)
    found = np.zeros((2, 2, 3, len(session.tokens), 4), np.float32)
    kept.load(session, found[0], found[1])
    return found[0], found[1]


def test_a_session_gives_back_what_it_was_given_in_pieces() -> None:
    kept, (keys, values) = cache(4), row(0)
    for size in (1, 20, 9):
        kept.extend(kept.open("a"), range(size), keys, values)
    kept.cut(kept.open("a"), 17)
    for found, given in zip(held(kept, "a"), (keys, values), strict=True):
        np.testing.assert_array_equal(found, given[:, :, :17])


def test_outputs_are_kept_for_what_was_read_and_cut_with_it() -> None:
    kept, outputs = cache(4), np.arange(60, dtype=np.float32).reshape(30, 2)
    session = kept.open("a")
    for start, end in ((0, 5), (5, 30)):
        kept.extend(session, range(start, end), *row(0))
        kept.keep_outputs(session, outputs[start:end])
    np.testing.assert_array_equal(kept.outputs(session), outputs)
    kept.cut(session, 18)
    np.testing.assert_array_equal(kept.outputs(session), outputs[:18])


def test_the_session_used_the_longest_ago_makes_room() -> None:
    kept = cache(3)
    for seed, name in enumerate("abc"):
        kept.extend(kept.open(name), range(16), *row(seed))
    kept.open("a")
    kept.extend(kept.open("d"), range(16), *row(3))
    assert [len(kept.open(name).tokens) for name in "abcd"] == [16, 0, 16, 16]
    np.testing.assert_array_equal(held(kept, "a")[0], row(0)[0][:, :, :16])


def test_an_evicted_session_has_no_tokens_for_those_who_still_know_it() -> None:
    kept = cache(3)
    old = kept.open("a")
    kept.extend(old, range(CONTEXT), *row(0))
    kept.extend(kept.open("b"), range(CONTEXT), *row(1))
    assert old.tokens == []
    assert kept.open("a") is not old


def test_bytes_never_exceed_the_bound() -> None:
    kept, (keys, values) = cache(7), row(0)
    whole, draw = kept.nbytes, np.random.default_rng(1)
    assert whole == 7 * 16 * 4 * 50
    for _ in range(300):
        session = kept.open(str(draw.integers(12)))
        kept.cut(session, int(draw.integers(len(session.tokens) + 1)))
        kept.extend(session, range(int(draw.integers(CONTEXT - len(session.tokens) + 1))), keys, values)
        blocks = [block for each in kept._sessions.values() for block in each.blocks] + kept._free
        assert sorted(blocks) == list(range(7)), "each block has one owner"
        assert kept.nbytes == whole


@pytest.mark.parametrize("name", ["lab-weak", "lab-strong", "lab-verifier"])
def test_a_shipped_model_keeps_to_the_documented_bound(name: str) -> None:
    assert 0.99 * CACHE_BYTES < worker(name).network.cache.nbytes <= CACHE_BYTES  # type: ignore[arg-type]


def small(name: str) -> Worker:
    """A model whose cache holds a few of the problems at a time."""
    return Worker(Network(WEIGHTS / f"{name}.onnx", cache_bytes=SMALL))


async def in_steps(model: LabModel, session: str) -> list[list[Draft]]:
    """A solution of each problem, all step by step at once."""

    async def solve(seed: int, start: Prefix) -> list[Draft]:
        drafts: list[Draft] = []
        prefix = start
        while not prefix.finished and len(drafts) < 8:
            (draft,) = await model.propose(prefix, 1, replace(LAB_SAMPLING, seed=100 * seed + len(drafts)))
            drafts.append(draft)
            prefix = prefix.extended(Step(role="weak", text=draft.text, tokens=1))
        return drafts

    starts = [Prefix(problem=problem, session=f"{session}/{i}") for i, problem in enumerate(PROBLEMS)]
    return await asyncio.gather(*(solve(i, start) for i, start in enumerate(starts)))


def test_evicted_sessions_give_the_same_text_again() -> None:
    kept = asyncio.run(in_steps(LabModel("lab-weak"), "kept"))
    evicted = asyncio.run(in_steps(LabModel("lab-weak", small("lab-weak")), "evicted"))
    assert [[draft.text for draft in drafts] for drafts in kept] == [[draft.text for draft in d] for d in evicted]
    misses = [draft for drafts in evicted for draft in drafts[1:] if not draft.usage.cache_read_tokens]
    assert misses, "so that this says something"


def test_evicted_sessions_give_the_same_scores_again() -> None:
    prm, fresh = LabPrm(source=small("lab-verifier")), LabPrm()

    async def score(scorer: LabPrm, number: int, session: str) -> tuple[float, ...]:
        problem = PROBLEMS[number]
        steps = tuple(Step(role="weak", text=text, tokens=1) for text in Story.parse(problem.text).solution())
        return (await scorer.score(Prefix(problem=problem, steps=steps, session=f"{session}/{number}"))).values

    async def both() -> None:
        first = [await score(prm, number, "a") for number in range(len(PROBLEMS))]
        again = [await score(prm, number, "a") for number in range(len(PROBLEMS))]
        assert first == again == [await score(fresh, number, "b") for number in range(len(PROBLEMS))]

    asyncio.run(both())


def test_tokens_whose_outputs_are_not_kept_are_read_again() -> None:
    network = small("lab-weak").network
    tokens = network.tokenizer.encode(PROBLEMS[0].text)
    network.start("a", tokens[:20], row=0)
    (again, kept), (fresh, _) = network.read("a", tokens, row=0), network.read("b", tokens, row=0)
    assert kept == 0
    np.testing.assert_array_equal(again, fresh)
