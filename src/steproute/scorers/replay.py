"""Recorded process reward model scores as a step scorer."""

from collections.abc import Iterable

from steproute.core.errors import ScorerError
from steproute.core.recording import Recording, Recordings, estimated_tokens
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage


class ReplayScorer:
    """Gives the scores that were recorded for exactly the steps of a prefix; never a made-up one.

    Tokens read are estimated from characters.
    """

    def __init__(self, name: str, recordings: Iterable[Recording]) -> None:
        self.name = name
        self._recordings = Recordings(recordings)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One recorded score per step; raises ScorerError if one of them was not recorded."""
        count = len(prefix.steps)
        for recording in self._recordings.through(prefix):
            if len(recording.scores) >= count:
                usage = Usage(input_tokens=estimated_tokens(prefix.problem.text + prefix.text), estimated=True)
                return Scores(values=recording.scores[:count], model=self.name, usage=usage)
        raise ScorerError(
            f"{self.name} has no recorded score for step {count} of problem {prefix.problem.id!r} after this prefix.",
            where="replay",
            remedy="Declare on_scorer_failure, or leave the problem out.",
        )
