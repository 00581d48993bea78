"""One problem while it is solved: the author, score and decision of each step, and the cost so far."""

from collections.abc import Callable, Sequence
from typing import Final

from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table

from steproute.cli.terminal import Terminal
from steproute.core.decision import Decision, Rewrite
from steproute.core.events import Accepted, Decided, Event, Finished, Started
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Step
from steproute.core.trace import Trace

Checker = Callable[[Problem, Sequence[str]], bool]
"""Whether the newest step of a solution and all steps before it are correct."""
Grade = Callable[[Problem, Trace], bool | None]
"""Whether a solution's answer is correct; None if that is not known."""
COLOURS: Final = {"weak": "cyan", "strong": "magenta"}
_MARKS: Final = {True: "[green]✓[/]", False: "[red]✗[/]"}
_INDENT: Final = 3


class LiveView:
    """Listens to an episode and prints to `console`.

    checker: marks each step and the answer ✓ or ✗. grade: marks only the answer; the caller has shown the problem.
    """

    def __init__(self, console: Terminal, checker: Checker | None = None, grade: Grade | None = None) -> None:
        self._console, self._checker, self._grade = console, checker, grade
        self._problem: Problem | None = None
        self._texts: list[str] = []

    def __call__(self, event: Event) -> None:
        """Print what the event shows."""
        match event:
            case Started(problem):
                self._start(problem)
            case Decided(decision, draft, score):
                self._decide(decision, draft, score)
            case Accepted(step):
                self._accept(step)
            case Finished(trace):
                self._finish(trace)

    def _start(self, problem: Problem) -> None:
        self._problem = problem
        if self._checker is None and self._grade is None:
            self._console.print(Rule(style="dim"))
            self._console.print(escape(problem.text), style="bold", highlight=False)
        self._row("", "", "[dim]author[/]", "[dim]score[/]", "[dim]step[/]")

    def _decide(self, decision: Decision, draft: Draft | None, score: float | None) -> None:
        if isinstance(decision, Rewrite) and draft is not None:
            self._line("", draft.role, draft.text, score, rejected=True)
            what = (
                "regenerate: {} writes this step again" if decision.steps == 1 else "takeover: {} writes the next steps"
            )
            self._row("", "", "", "", f"[red]{what.format(f'the {escape(decision.role)} model')}[/]")

    def _accept(self, step: Step) -> None:
        score = None if isinstance(step.decision, Rewrite) else step.score
        self._line(str(len(self._texts) + 1), step.role, step.text, score)
        if step.width is not None and step.width > 1:
            self._row("", "", "", "", f"[dim]{step.votes} of {step.width} drafts[/]")
        self._texts.append(step.text)

    def _line(self, number: str, role: str, text: str, score: float | None, *, rejected: bool = False) -> None:
        colour = COLOURS.get(role, "yellow")
        body = f"[{'strike dim ' if rejected else ''}{colour}]{escape(text)}[/]"
        shown = "" if score is None else f"{score:.3f}"
        self._row(f"[dim]{number}[/]", self._mark(text), f"[{colour}]{escape(role)}[/]", shown, body)

    def _mark(self, text: str) -> str:
        if self._checker is None or self._problem is None:
            return ""
        return _MARKS[self._checker(self._problem, [*self._texts, text])]

    def _row(self, *cells: str) -> None:
        """Cells in fixed columns; a long text continues below itself."""
        row = Table.grid(padding=(0, 1))
        for width in (2, 1, 6, 5) if self._checker else (2, 0, 6, 5):
            row.add_column(min_width=width, justify="right", no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(*cells)
        self._console.print(row, highlight=False)

    def _finish(self, trace: Trace) -> None:
        answer = "no answer" if trace.answer is None else f"answer [bold]{escape(trace.answer)}[/]"
        self._below(f"{answer} {self._verdict(trace)}· {trace.outcome.value} · ${trace.cost_usd:.6f}")
        if trace.answer_votes:
            self._below("votes: " + ", ".join(f"{escape(each.answer)} ({each.votes})" for each in trace.answer_votes))
        for line in _bill(trace):
            self._below(line)
        for note in (*trace.notes, *([trace.error] if trace.error else [])):
            self._below(f"[yellow]{escape(note)}[/]")

    def _verdict(self, trace: Trace) -> str:
        unmarked = self._checker is None and self._grade is None
        if unmarked or self._problem is None or self._problem.answer is None:
            return ""
        correct = self._grade(self._problem, trace) if self._grade else trace.answer == self._problem.answer
        if correct is None:
            return ""
        return f"{_MARKS[correct]} " + ("" if correct else f"(correct is {escape(self._problem.answer)}) ")

    def _below(self, text: str) -> None:
        self._console.print(Padding(text, (0, 0, 0, _INDENT)), highlight=False)


def _bill(trace: Trace) -> list[str]:
    """Dollars of each role, the tokens that it read, and the tokens that it wrote if it is a model."""
    lines = []
    for role, used in trace.usage_by_role().items():
        wrote = f", {used.output_tokens} written" if used.output_tokens else ""
        lines.append(f"{escape(role)} ${used.cost_usd:.6f} ({used.read_tokens} tokens read{wrote})")
    return lines
