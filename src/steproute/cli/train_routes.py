"""`steproute train --policy routes`: predictors of what routes reach and spend, from finished runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from steproute.artifacts import read_artifact
from steproute.cli.terminal import Terminal
from steproute.config import route_named
from steproute.core.errors import ConfigError
from steproute.core.writable import writable
from steproute.engine.run_folder import recorded_problems, run_document
from steproute.engine.trace_file import newest_traces
from steproute.evaluation.datasets import Fields, load_problems
from steproute.evaluation.formatting import dollars
from steproute.learn.route_fit import RouteOutcomes, fit_joint, fit_route, fit_separate, sparse_features
from steproute.learn.route_runs import RouteRuns, axis_of, unit_of
from steproute.learn.text_fit import fit_text
from steproute.policies.route_table_file import JOINT, SEPARATE, read_table, write_route, write_table
from steproute.policies.routes import COSTS, RouteFamily, SeparateTable

ROUTES: Final = "routes"
PREDICTORS: Final = (SEPARATE, JOINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTraining:
    """Trains a table on runs, or adds the routes of a run to a table. No model is called.

    fields: of the runs' data, if it is a file.
    """

    fields: Fields
    seed: int
    console: Terminal

    def train(self, runs: Sequence[Path], predictor: str, folder: Path) -> None:
        """Write a table of all routes of the runs. Raises ConfigError for runs of different models, DatasetError."""
        found, digest = self._read(runs)
        outcomes, texts = found.outcomes(), list(found.texts)
        for each in outcomes:
            route_named(each.route)
        text = fit_text(texts)
        features = sparse_features(text, texts)
        table = (fit_joint if predictor == JOINT else fit_separate)(outcomes, text, features, self.seed)
        axis = axis_of(outcomes)
        facts = self._facts(runs, digest) | {"problems": len(texts)}
        write_table(RouteFamily(table, unit_of(outcomes, axis), axis), facts, folder)
        self._print(outcomes, found.left_out, folder)

    def add(self, run: Path, folder: Path) -> None:
        """Train the routes of a run that the table in `folder` lacks, and write them beside the others.

        Raises ConfigError for a joint table, for a run of other models, and if it brings no new route.
        """
        table, facts = read_table(folder).table, read_artifact(folder).facts
        if not isinstance(table, SeparateTable):
            raise ConfigError(
                f"{folder} is one network for all its routes.",
                where="add",
                remedy="Train it again with --runs, or train a table with --predictor separate.",
            )
        found, digest = self._read([run])
        if digest != facts.get("config_digest"):
            raise ConfigError(f"{run} is of other models than {folder}.", where="add")
        new = [each for each in found.outcomes() if each.route not in table.routes]
        if not new:
            raise ConfigError(f"{run} holds no route that {folder} lacks.", where="add")
        features = sparse_features(table.text, list(found.texts))
        for each in new:
            route_named(each.route)
            write_route(fit_route(each, features, self.seed), table.text, self._facts([run], digest), folder)
        self._print(new, found.left_out, folder)

    def _read(self, runs: Sequence[Path]) -> tuple[RouteRuns, str]:
        """The runs' traces, and the digest of the models that all of them are of."""
        found, digests = RouteRuns(), set()
        for run in runs:
            document = run_document(run)
            digests.add(str(document.get("config_digest", "")))
            loaded = load_problems(document["data"], document["holds"]["problems"], document["seed"], self.fields)
            texts = {writable(problem.id): problem.text for problem in recorded_problems(document, loaded)}
            found.add(newest_traces(run / "traces.jsonl.zst"), texts)
        if len(digests) > 1:
            raise ConfigError("are of different models or scorers.", where="runs", remedy="Train a table for each.")
        return found, digests.pop()

    def _facts(self, runs: Sequence[Path], digest: str) -> dict[str, Any]:
        return {"runs": [str(run) for run in runs], "config_digest": digest, "seed": self.seed}

    def _print(self, outcomes: Sequence[RouteOutcomes], left_out: int, folder: Path) -> None:
        table = Table("route", "problems", "correct", "$ per problem", "tokens")
        for column in table.columns[1:]:
            column.justify = "right"
        for each in outcomes:
            means = dict(zip(COSTS, each.costs.mean(axis=0).tolist(), strict=True))
            mean = float(each.right @ each.runs / each.runs.sum())
            table.add_row(
                each.route, str(len(each.problems)), f"{mean:.1%}", dollars(means["usd"]), f"{means['tokens']:.0f}"
            )
        self.console.print(table)
        if left_out:
            self.console.print(f"{left_out} traces failed or have no verdict, and are left out", highlight=False)
        self.console.print(f"  {folder}", highlight=False)
