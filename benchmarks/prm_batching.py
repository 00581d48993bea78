"""Calls a second of a reward model in process by in-flight calls, batched and one by one, side by side in one run.

The lab's reward model, exported for transformers; needs the extras [learn,prm].
"""

import argparse
import asyncio
import statistics
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from steproute.core.solution import Prefix, Step
from steproute.lab.hugging_face import export_for_servers
from steproute.lab.story import Story, generate
from steproute.scorers.transformers_prm import TransformersPrm, TransformersPrmSettings


def prefixes(count: int) -> list[Prefix]:
    """Solutions of `count` problems, each up to a step of its own, as they are under way in a run."""
    found = []
    for number, problem in enumerate(islice(generate("test"), count)):
        texts = Story.parse(problem.text).solution()
        steps = tuple(Step(role="weak", text=text, tokens=0) for text in texts[: 1 + number % len(texts)])
        found.append(Prefix(problem=problem, steps=steps, session=problem.id))
    return found


async def calls_per_second(scorer: TransformersPrm, judged: list[Prefix], in_flight: int) -> float:
    """Calls over wall-clock seconds."""
    limiter = asyncio.Semaphore(in_flight)

    async def score(prefix: Prefix) -> None:
        async with limiter:
            await scorer.score(prefix)

    began = time.perf_counter()
    await asyncio.gather(*map(score, judged))
    return len(judged) / (time.perf_counter() - began)


def main() -> None:
    """Print medians over rounds and the ratio of batched calls to unbatched ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch; more than the machine has idle cost time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with TemporaryDirectory() as folder:
        export_for_servers("lab-prm-place", Path(folder))
        settings = TransformersPrmSettings(model=folder, text="{problem}\n\n{steps}")
        ways = {
            "one by one": TransformersPrm("prm", replace(settings, max_batch_tokens=1)),
            "batched": TransformersPrm("prm", settings),
        }
        judged = prefixes(options.calls)
        for scorer in ways.values():
            asyncio.run(scorer.score(judged[0]))
        for in_flight in (1, 64):
            rounds = [
                [asyncio.run(calls_per_second(scorer, judged, in_flight)) for scorer in ways.values()]
                for _ in range(options.rounds)
            ]
            alone, batched = (statistics.median(column) for column in zip(*rounds, strict=True))
            ratio = statistics.median(b / a for a, b in rounds)
            print(
                f"{in_flight:2} in flight: {alone:4.0f} calls/s one by one, {batched:4.0f} batched, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
