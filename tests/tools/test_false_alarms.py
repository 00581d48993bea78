"""Flags on ProcessBench that are not at the labelled first error, each with its reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from steproute.tools.algebra import AlgebraChecker
from steproute.tools.arithmetic import Finding

ALARMS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "false_alarms.json").read_text())


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: str(alarm["id"]))
def test_a_known_false_alarm_is_still_one(alarm: dict[str, Any]) -> None:
    """Take one out of the file once it is no longer flagged."""
    with AlgebraChecker() as checker:
        findings = [each.finding for each in checker.check_now(f"\\[ {alarm['equality']} \\]")]
    assert Finding.FALSE in findings
    assert alarm["reason"]
