import json

import pytest
from typer.testing import CliRunner

from steproute.cli.main import app
from steproute.evaluation.datasets import data_folder

STEPS = data_folder() / "twinrouterbench/steps.jsonl.gz"


@pytest.mark.skipif(not STEPS.exists(), reason="needs the part of TwinRouterBench in the data folder")
def test_the_rule_by_workload_is_always_in_the_table_and_the_coding_rows_are_apart() -> None:
    shown = CliRunner().invoke(app, ["bench", "twinrouter", "--data", str(STEPS)], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert shown.stdout.count("by workload") == 2
    assert "swebench rows alone: 121 rows of 39 runs" in shown.stdout
    assert "It looks at no step" in shown.stdout
    written = CliRunner().invoke(app, ["bench", "twinrouter", "--data", str(STEPS), "--json"])
    tables = json.loads(written.stdout)["tables"]
    assert tables["all rows"]["by workload"]["combined"] == pytest.approx(0.777, abs=5e-4)
    assert tables["swebench rows alone"]["always high"]["cost_ci95"] == [0.0, 0.0]


def test_a_file_that_is_not_there_is_named() -> None:
    failed = CliRunner().invoke(app, ["bench", "twinrouter", "--data", "nowhere.jsonl"])
    assert "nowhere.jsonl does not exist" in str(failed.exception)
