"""Each check of `doctor` by itself: what it asks for, what it leaves alone, and that nothing else would find it."""

from pathlib import Path

import pytest
from tests.config_texts import WRITERS
from tests.patients import Patient, diagnose

SURE = '[scorers.sure]\nbackend = "confidence"\n'
PRM = SURE.replace("sure", "prm")
ENSEMBLE = '[scorers.prm]\nbackend = "ensemble"\nof = ["other", "sure"]\ncombine = "min"\n'
THIRD = '[models.third]\nbackend = "openai"\nbase_url = "{url}"\nmodel = "m"\ntemplate = "none"\n'
OTHER = '[scorers.other]\nbackend = "vllm-pooling"\nbase_url = "{url}"\nmodel = "m"\n'
BOTH = {"models.weak", "models.strong"}


@pytest.mark.parametrize(
    ("scorers", "route", "readers"),
    [
        (PRM, "policy = 'threshold'", BOTH),
        (SURE + OTHER + ENSEMBLE, "policy = 'threshold'", BOTH),
        (PRM, "policy = 'confidence'", {"models.weak"}),
        ("", "policy = 'first-token-entropy'", {"models.weak"}),
        (PRM, "policy = 'random'", set()),
        (SURE + OTHER.replace("other", "prm"), "policy = 'threshold'", set()),
        (SURE + OTHER.replace("other", "strong"), "strategy = 'specreason'", set()),
        (PRM, "policy = 'nosuch'", set()),
    ],
)
def test_log_probabilities_are_asked_only_of_the_models_whose_the_route_reads(
    tmp_path: Path, scorers: str, route: str, readers: set[str]
) -> None:
    findings = diagnose(tmp_path, Patient(), config=f"{WRITERS}{THIRD}{scorers}[route]\n{route}\n")
    assert {each.backend for each in findings if each.check == "log-probabilities"} == readers
