"""The oracle planner of the lab: it reads stories by the grammar that wrote them, which no model can."""

from dataclasses import dataclass
from typing import ClassVar, Final

from steproute.core.errors import BackendError, DatasetError
from steproute.core.ports import ModelCapabilities
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.usage import Usage
from steproute.lab.story import Story

_FIRST: Final = "(1) "


@dataclass(frozen=True)
class OraclePlanner:
    """The sentences of a story that need a step, in order, as a numbered plan; an upper bound on planners.

    It counts a token for each word that it reads and writes.
    """

    only_reads: ClassVar[str] = "lab"
    capabilities: ClassVar[ModelCapabilities] = ModelCapabilities(logprobs=False, subtasks=False)
    name: ClassVar[str] = "lab-oracle-planner"

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """The plan of the story at the end of the problem's text, `n` times. Raises BackendError for another text."""
        text = prefix.problem.text
        story = text[max(text.find(_FIRST), 0) :]
        try:
            lines = [f"({sentence.label}) {sentence.text}" for sentence in Story.parse(story).relevant]
        except DatasetError as failure:
            raise BackendError(str(failure)) from None
        plan = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))
        read, written = len(story.split()), len(plan.split())
        drafts = [
            Draft(
                model=self.name,
                text=plan,
                stop=Stop.END,
                usage=Usage(input_tokens=0 if index else read, output_tokens=written),
            )
            for index in range(n)
        ]
        if meter is not None:
            meter.usage = sum((draft.usage for draft in drafts), meter.usage)
        return drafts
