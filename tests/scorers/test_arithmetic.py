import asyncio

import pytest
from tests.engine.scripted import ScriptedScorer

from steproute import Problem
from steproute.core.errors import ConfigError
from steproute.core.solution import Prefix, Step
from steproute.core.usage import Usage
from steproute.scorers.arithmetic import ArithmeticScorer, ArithmeticSettings
from steproute.scorers.ensemble import EnsembleScorer, EnsembleSettings


def prefix_of(*texts: str) -> Prefix:
    return Prefix(problem=Problem.ask("?"), steps=tuple(Step(role="weak", text=text, tokens=1) for text in texts))


STEPS = prefix_of("Let us see.", "2 + 2 = 5", "So 5 + 1 = 6")


def test_a_false_equality_scores_almost_zero_and_everything_else_is_no_opinion() -> None:
    scores = asyncio.run(ArithmeticScorer().score(STEPS))
    assert scores.values == (1.0, 0.05, 1.0)
    assert scores.usage == Usage()
    assert scores.billed == ()


def test_the_base_rate_of_errors_is_a_setting() -> None:
    scorer = ArithmeticScorer.from_settings("prm", {"error_rate": 0.25})
    assert asyncio.run(scorer.score(STEPS)).values == (0.75, 0.05, 0.75)
    with pytest.raises(ConfigError, match="no share"):
        ArithmeticSettings(error_rate=1.5)


def test_it_is_a_veto_in_an_ensemble() -> None:
    ensemble = EnsembleScorer("prm", [ScriptedScorer([0.8]), ArithmeticScorer()], EnsembleSettings(combine="min"))
    assert asyncio.run(ensemble.score(STEPS)).values == (0.9, 0.05, 0.8)
