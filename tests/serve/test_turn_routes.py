"""Which routes may route tools: what cannot is found before the first request."""

from pathlib import Path

import pytest
from tests.serve.turning import CONFIG

from steproute.config import read_setup
from steproute.core.errors import ConfigError
from steproute.serve.gateway import served_routes

_CONFIDENCE = '[scorers.sure]\nbackend = "confidence"\n'


def setup_of(folder: Path, route: str, more: str = "") -> Path:
    file = folder / "steproute.toml"
    begin = CONFIG.format(url="http://127.0.0.1:9/v1").partition("[serve.routes.agent]")[0]
    file.write_text(f'{begin}{more}[serve.routes.agent]\ntools = "route"\n{route}')
    return file


@pytest.mark.parametrize("strategy", ["stepwise", "pipelined"])
def test_strategies_that_write_one_step_at_a_time_route_turns(tmp_path: Path, strategy: str) -> None:
    routes = served_routes(read_setup(setup_of(tmp_path, f'strategy = "{strategy}"')))
    assert routes["agent"].route.tools == "route"
    assert routes["weak"].route.tools == "passthrough"


@pytest.mark.parametrize(
    ("route", "more", "error"),
    [
        ('strategy = "second-chances"', "", "serve.routes.agent.tools: the route's strategy cannot route turns"),
        ('strategy = "query"\npolicy = "random"', "", "serve.routes.agent.tools: the route's strategy cannot"),
        ('judge = "sure"', _CONFIDENCE, "scorers.sure reads log-probabilities, and a turn has none"),
        ('policy = "confidence"', _CONFIDENCE, "the route's policy reads log-probabilities, and a turn has none"),
        ('role = "weak"', "", "serve.routes.agent.tools: weak answers alone"),
    ],
)
def test_what_cannot_route_turns_is_named_at_the_start(tmp_path: Path, route: str, more: str, error: str) -> None:
    file = setup_of(tmp_path, route, more)
    if more:
        for price in ("output = 0.4 }", "output = 8 }"):
            file.write_text(file.read_text().replace(price, f"{price}\nlogprobs = 5"))
    with pytest.raises(ConfigError) as failure:
        served_routes(read_setup(file))
    assert error in str(failure.value)


def test_a_model_that_calls_no_tools_is_named(tmp_path: Path) -> None:
    file = setup_of(tmp_path, 'policy = "random"')
    rest = file.read_text().partition("[models.strong]")[2]
    file.write_text(f'[models.weak]\nbackend = "lab"\nname = "lab-weak"\n[models.strong]{rest}')
    with pytest.raises(ConfigError, match=r"serve.routes.agent.tools: models.weak \(lab-weak\) calls no tools"):
        served_routes(read_setup(file))
