"""The examples of the page about the gateway's API run."""

import subprocess
import sys

from tests.serve.gateway_page import examples
from tests.serve.running import RunningGateway


def test_the_examples_of_the_page_give_the_answer(lab_gateway: RunningGateway) -> None:
    commands = [[sys.executable, "-c", example] for example in examples("python", lab_gateway.url)]
    commands += [["bash", "-c", example] for example in examples("bash", lab_gateway.url)]
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert "So the answer is" in done.stdout
