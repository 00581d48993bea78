from pathlib import Path

import pytest
from tests.plugin_packages import publish

from steproute.core.decision import Accept, Decision
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.registry import Registry, policies, strategies
from steproute.policies.trim.threshold import Threshold


def test_built_in_parts_are_found_by_name() -> None:
    assert policies.get("threshold") is Threshold
    assert {"single", "stepwise", "cascade"} <= set(strategies.names())


def test_parts_of_a_folder_that_is_added_to_the_path_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, "later", {"steproute.policies": {"later": "later:Later"}})
    assert "later" not in policies.names()
    monkeypatch.syspath_prepend(tmp_path)
    assert "later" in policies.names()


def test_a_decorator_registers_a_class_once() -> None:
    registry = Registry("policies")

    @registry.register("mine")
    class Mine:
        def __init__(self, knob: float) -> None:
            self.knob = knob

        def decide(self, observation: Observation) -> Decision:
            return Accept()

    assert registry.get("mine") is Mine
    with pytest.raises(ConfigError, match="'mine' is taken"):
        registry.register("mine")(Mine)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"policies: 'thresold' is unknown. Use one of .*threshold"):
        policies.get("thresold")
