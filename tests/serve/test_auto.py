"""Routes that choose, and what would be chosen."""

from collections.abc import Iterator

import httpx2
import pytest
from tests.serve.running import PROBLEM, RunningGateway, gateway
from tests.serve.test_passthrough import CONFIG

from steproute.serve.auto import ByRule, Fixed
from steproute.serve.chat_request import Chat

AUTO = '\n[serve.routes.auto]\nauto = "rule"\n[serve.routes.plain]\nknob = 0.25\npolicy = "random"\n'


def chat(text: str, **fields: object) -> Chat:
    return Chat.of({"model": "auto", "messages": [{"role": "user", "content": text}], **fields})


@pytest.mark.parametrize(
    ("text", "arm"),
    [
        ("What is 17 * 23?", "steps"),
        ("Prove that there are infinitely many primes.", "steps"),
        ("Good morning!", "weak"),
        ("Name a town in Wales.", "weak"),
    ],
)
def test_the_rule_takes_steps_for_what_looks_like_reasoning(text: str, arm: str) -> None:
    choice = ByRule().choose(chat(text))
    assert choice.arm == arm
    assert choice.reason


def test_tools_json_and_images_pass_through_on_every_route() -> None:
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}, {"type": "text", "text": "?"}]
    requests = (
        chat("1 + 2?", tools=[{"type": "function", "function": {"name": "add"}}]),
        chat("1 + 2?", response_format={"type": "json_object"}),
        Chat.of({"model": "auto", "messages": [{"role": "user", "content": image}]}),
    )
    for each in requests:
        assert ByRule().choose(each).arm == Fixed("steps").choose(each).arm == "passthrough"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("auto")
    (folder / "steproute.toml").write_text(CONFIG.format(url="http://127.0.0.1:1/v1") + AUTO)
    with gateway(folder, "--config", str(folder / "steproute.toml")) as started:
        yield started


def simulated(running: RunningGateway, model: str, text: str) -> dict[str, object]:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    response = httpx2.post(f"{running.url}/v1/simulate", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_a_simulation_says_who_would_answer_and_at_what_price(running: RunningGateway) -> None:
    steps, alone = simulated(running, "steproute/auto", PROBLEM), simulated(running, "steproute/auto", "Hello.")
    assert (steps["choice"], steps["answered_by"]) == ("steps", "stepwise/random=0.5")
    assert (alone["choice"], alone["answered_by"]) == ("weak", "passthrough/weak")
    cost = steps["expected_cost"]
    assert isinstance(cost, dict)
    assert 0 < cost["low_usd"] <= cost["expected_usd"] <= cost["high_usd"]
    assert simulated(running, "plain", "Hello.")["answered_by"] == "stepwise/random=0.25"


def test_a_route_named_in_the_file_takes_the_place_of_the_default(running: RunningGateway) -> None:
    assert {model["id"] for model in running.get("/v1/models").json()["data"]} == {
        f"steproute/{name}" for name in ("auto", "plain", "weak", "strong")
    }
