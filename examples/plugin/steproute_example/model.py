"""A model: one of the lab's, always at temperature 0."""

from dataclasses import dataclass, replace
from typing import ClassVar

from steproute.core.ports import ModelCapabilities
from steproute.core.solution import Draft, Meter, Prefix, Sampling
from steproute.lab.models import LabModel, LabWriter


@dataclass(frozen=True)
class SteadyModel:
    """`name` is the model's role; `inner` is a setting in steproute.toml."""

    name: str
    inner: LabWriter = "lab-weak"
    capabilities: ClassVar[ModelCapabilities] = ModelCapabilities(logprobs=True)
    only_reads: ClassVar[str] = "lab"

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        cold = replace(sampling, temperature=0.0)
        return await LabModel(self.inner).propose(prefix, n, cold, meter)
