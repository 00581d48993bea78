import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from steproute.core.construction import build, family_of
from steproute.core.contract import check_part
from steproute.core.decision import Accept, Decision
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import CAPABILITIES, KNOBS, PORTS, READS, ModelCapabilities, Policy
from steproute.core.registry import (
    choosers,
    datasets,
    environments,
    graders,
    models,
    policies,
    repairs,
    scorers,
    strategies,
)
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage

PAGE = (Path(__file__).parents[2] / "docs/how-to/write-a-plugin.md").read_text()


@dataclass(frozen=True)
class Knob:
    threshold: float

    def decide(self, observation: Observation) -> Decision:
        return Accept()


@dataclass(frozen=True)
class Scorer:
    name: str
    power: float = 1.0

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        return Scores(values=(), model=self.name, usage=Usage())


class Bare(Scorer):
    def __init__(self) -> None:
        super().__init__("bare")


class NoMethod:
    pass


class OnlyProtocol(Policy):
    pass


class Sync:
    def score(self, prefix: Prefix, meter: Meter | None = None) -> None:
        pass


class FewArguments:
    async def propose(self, prefix: Prefix) -> None:
        pass


class Unbuildable:
    def __init__(self, url: str) -> None:
        self.name = url

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        return Scores(values=(), model=self.name, usage=Usage())


class NoClassMethod(Scorer):
    def from_settings(self, name: str, table: Mapping[str, Any]) -> None:
        pass


@dataclass(frozen=True)
class TwoNumbers(Knob):
    patience: int


class NoKnobs(Knob):
    @classmethod
    def at(cls, knob: float, seed: int) -> "NoKnobs":
        return cls(knob)


class Misspelt(Knob):
    reads: ClassVar[Any] = {"score"}


class WrongType(Scorer):
    reads_confidence: ClassVar[Any] = "yes"


REGISTRIES = (models, scorers, repairs, policies, choosers, strategies, environments, graders, datasets)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_built_in_parts_fit_the_contract(registry: Any) -> None:
    for name in registry.names():
        check_part(registry.kind, name, registry.get(name))


@pytest.mark.parametrize(
    ("kind", "part", "message"),
    [
        ("scorers", NoMethod, "NoMethod has no method score. Add async def score(self, prefix, meter)."),
        ("policies", OnlyProtocol, "OnlyProtocol has no method decide. Add def decide(self, observation)."),
        ("scorers", Sync, "Sync.score is not async. Write async def score(self, prefix, meter)."),
        ("models", FewArguments, "FewArguments.propose takes other arguments (too many positional arguments)."),
        ("scorers", Unbuildable, "Unbuildable cannot be made without url. Make it a dataclass"),
        ("scorers", NoClassMethod, "NoClassMethod.from_settings is no class method. Put @classmethod above it."),
        ("policies", TwoNumbers, "TwoNumbers is made from threshold, patience, and a knob is one number."),
        ("policies", NoKnobs, "NoKnobs has at, but no knobs. Add knobs"),
        ("policies", Misspelt, "Misspelt.reads: {'score'} is not what it declares (invalid enum value 'score')."),
        ("scorers", WrongType, "WrongType.reads_confidence: 'yes' is not what it declares (expected `bool`"),
        ("models", 3, "3 is no class. Name a class that has async def propose"),
        ("datasets", lambda: [], "it takes other arguments"),
    ],
)
def test_a_part_that_does_not_fit_says_what_to_add(kind: str, part: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_part(kind, "my-package: x", part)
    assert message in str(raised.value)
    assert str(raised.value).startswith("my-package: x")


def test_a_part_that_declares_nothing_has_the_defaults() -> None:
    assert READS.of(Knob(0.5)) == {"scores"}
    assert CAPABILITIES.of(Scorer("any")) == ModelCapabilities()


def test_a_dataclass_gets_its_settings_and_its_role() -> None:
    assert build(Scorer, "prm", {"power": 2}) == Scorer("prm", 2.0)
    assert build(Scorer, "prm", {"name": "mine"}) == Scorer("mine")
    with pytest.raises(ConfigError, match="powr: unknown"):
        build(Scorer, "prm", {"powr": 2})


def test_a_class_without_settings_is_called_with_no_arguments() -> None:
    class Plain:
        name = "plain"

    assert build(Plain, "prm", {}).name == "plain"
    with pytest.raises(ConfigError, match="power: Plain has no settings. Remove it"):
        build(Plain, "prm", {"power": 2})


def test_a_policy_is_made_from_its_knob() -> None:
    family = family_of(Knob)
    assert family.at(0.25, seed=3) == Knob(0.25)
    assert family.knobs == KNOBS.default


def test_the_page_lists_every_declaration_with_its_kind() -> None:
    assert PORTS.keys() == {registry.kind for registry in REGISTRIES}
    for port in PORTS.values():
        for declaration in port.declares:
            assert re.search(rf"^\| [^|]*`{port.kind}`[^|]* \| `{declaration.name}` \|", PAGE, re.MULTILINE), (
                declaration
            )
        for method in port.methods:
            assert port.kind == "datasets" or f"def {method.__name__}(" in PAGE
    for field in ModelCapabilities.__dataclass_fields__:
        assert f"| `{field}` |" in PAGE
