"""`steproute train --policy example-bank`: a bank of solved steps, from labelled solutions or from a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steproute.artifacts import Artifact
from steproute.cli.terminal import Terminal
from steproute.cli.training import training_problems
from steproute.core.errors import ConfigError
from steproute.core.grade import Verdict
from steproute.core.problem import Problem
from steproute.core.writable import writable
from steproute.engine.run_folder import recorded_problems, run_document
from steproute.engine.trace_file import newest_traces
from steproute.evaluation.datasets import Fields, load_problems
from steproute.evaluation.labelled import read_labelled
from steproute.lab.story import Story, is_lab
from steproute.learn.example_bank import Shown, bank_of_solutions, bank_of_traces, lab_sentence, whole_problem
from steproute.retrieval.example_bank import ExampleBank, bank_artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class BankSource:
    """What a bank is made of. run: the folder of a run of `eval`, instead of `data`."""

    data: str
    run: Path | None
    problems: int | None
    seed: int
    fields: Fields
    console: Terminal

    def artifact(self) -> Artifact:
        """The bank; prints how many steps it holds. Raises ConfigError, DatasetError."""
        bank, facts = self._of_solutions() if self.run is None else self._of_run(self.run)
        authors = [example.author for example in bank.examples]
        parts = ", ".join(f"{authors.count(author)} {author}" for author in dict.fromkeys(authors))
        self.console.print(f"{len(bank.examples)} steps ({parts})", highlight=False)
        return bank_artifact(bank, facts)

    def _of_solutions(self) -> tuple[ExampleBank, dict[str, Any]]:
        facts = {"data": self.data, "seed": self.seed}
        return bank_of_solutions(self._solutions(), _shown(self.data)), facts

    def _solutions(self) -> list[tuple[Problem, Sequence[str]]]:
        if is_lab(self.data):
            problems = training_problems(self.data, self.problems, self.seed, self.fields)
            return [(problem, Story.parse(problem.text).solution()) for problem in problems]
        if Path(self.data).suffix not in (".jsonl", ".gz"):
            raise ConfigError(
                f"{self.data!r} has no solutions in steps.",
                where="data",
                remedy="Give lab:train, a .jsonl with problem, steps and label, or the --run of an evaluation.",
            )
        rows = read_labelled(Path(self.data))[: self.problems]
        return [(row.problem, row.steps) for row in rows if row.first_error is None]

    def _of_run(self, folder: Path) -> tuple[ExampleBank, dict[str, Any]]:
        document = run_document(folder)
        loaded = load_problems(document["data"], document["holds"]["problems"], document["seed"], self.fields)
        problems = {writable(problem.id): problem for problem in recorded_problems(document, loaded)}
        correct = [
            (problems[trace.problem_id], trace)
            for trace in newest_traces(folder / "traces.jsonl.zst")
            if trace.verdict is Verdict.CORRECT and trace.problem_id in problems
        ]
        facts = {"data": document["data"], "seed": document["seed"], "run": str(folder)}
        return bank_of_traces(correct, _shown(document["data"])), facts


def _shown(data: str) -> Shown:
    return lab_sentence if is_lab(data) else whole_problem
