"""Recorded solutions as a step model: a tree of what was really written, and nothing else."""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from steproute.core.errors import BackendError
from steproute.core.ports import ModelCapabilities
from steproute.core.recording import Recording, Recordings, estimated_tokens
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.usage import Usage


class ReplayModel:
    """A StepModel that continues a prefix as one of its recordings did, or not at all.

    Of several recordings that pass through the prefix, `sampling.seed` picks one, each equally likely. Tokens of the
    prompt are estimated from characters.
    """

    capabilities: ClassVar[ModelCapabilities] = ModelCapabilities(logprobs=False)

    def __init__(self, name: str, recordings: Iterable[Recording]) -> None:
        self.name = name
        self._recordings = Recordings(recordings)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` recorded continuations; raises BackendError if no recording continues the prefix."""
        done = len(prefix.steps)
        candidates = [recording for recording in self._recordings.through(prefix) if len(recording.steps) > done]
        if not candidates:
            raise BackendError(
                f"no recording of {self.name} gives step {done + 1} of {prefix.problem.id!r} after this prefix.",
                where="replay",
                remedy="Recorded solutions support the strategies single and cascade.",
            )
        rng = np.random.default_rng(sampling.seed)
        chosen = [candidates[int(rng.integers(len(candidates)))] for _ in range(n)]
        return [self._draft(prefix, recording, sampling) for recording in chosen]

    def _draft(self, prefix: Prefix, recording: Recording, sampling: Sampling) -> Draft:
        done = len(prefix.steps)
        end = done + 1 if sampling.stop is not None else len(recording.steps)
        tokens = recording.step_tokens[done:end]
        usage = Usage(
            input_tokens=estimated_tokens(prefix.problem.text + prefix.text), output_tokens=sum(tokens), estimated=True
        )
        if usage.output_tokens > sampling.max_tokens:
            raise BackendError(
                f"the recorded continuation has {usage.output_tokens} tokens, {sampling.max_tokens} "
                "are allowed, and a recording cannot be cut.",
                where="replay",
                remedy="Raise the token limit.",
            )
        return Draft(
            model=self.name,
            text=prefix.separator.join(recording.steps[done:end]),
            stop=Stop.END if end == len(recording.steps) else Stop.SEPARATOR,
            usage=usage,
            step_tokens=tokens,
        )
