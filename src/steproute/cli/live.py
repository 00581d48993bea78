"""One problem as it is being solved: who wrote each step, what it scored, what was decided, what it has cost so far."""

from decimal import Decimal
from typing import Final

from rich.markup import escape
from rich.rule import Rule

from steproute.cli.terminal import Terminal
from steproute.core.decision import Decision
from steproute.core.events import Accepted, Billed, Decided, Drafted, Event, Finished, Scored, Started
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Step
from steproute.core.trace import Trace

COLOURS: Final = {"weak": "cyan", "strong": "magenta"}
_MARKS: Final = {Decision.ACCEPT: "[green]accept[/]", Decision.REGENERATE: "[red]regenerate[/]"}


class LiveView:
    """Listens to an episode and prints to `console`."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._cost = Decimal(0)
        self._number = 0
        self._draft: Draft | None = None
        self._score: float | None = None

    def __call__(self, event: Event) -> None:
        """Print what the event shows."""
        match event:
            case Started(problem):
                self._start(problem)
            case Billed(line):
                self._cost += line.cost_usd
            case Drafted(draft):
                self._draft = draft
            case Scored(scores):
                self._score = scores.values[-1]
            case Decided(decision):
                self._decide(decision)
            case Accepted(step):
                self._accept(step)
            case Finished(trace):
                self._finish(trace)

    def _start(self, problem: Problem) -> None:
        self._console.print(Rule(style="dim"))
        self._console.print(escape(problem.text), style="bold", highlight=False)

    def _decide(self, decision: Decision) -> None:
        if decision is not Decision.ACCEPT and self._draft is not None:
            mark = _MARKS.get(decision, f"[red]{decision.value}[/]")
            self._line(self._draft.role, self._draft.text, self._score, mark, struck=True)
            self._score = None

    def _accept(self, step: Step) -> None:
        self._number += 1
        score = step.score if step.decision is Decision.ACCEPT else None
        self._line(step.role, step.text, score, "[green]accept[/]" if score is not None else "")
        self._score = None

    def _line(self, role: str, text: str, score: float | None, mark: str, *, struck: bool = False) -> None:
        colour = COLOURS.get(role, "yellow")
        shown = "     " if score is None else f"{score:5.3f}"
        body = f"[{'strike dim ' if struck else ''}{colour}]{escape(text)}[/]"
        number = "  " if struck else f"{self._number:2}"
        self._console.print(
            f"[dim]{number}[/] [{colour}]{role:>6}[/]  {shown}  {mark}{' ' * (10 - len(_plain(mark)))}  {body}",
            highlight=False,
        )

    def _finish(self, trace: Trace) -> None:
        answer = "no answer" if trace.answer is None else f"answer [bold]{escape(trace.answer)}[/]"
        tokens = f"weak {trace.generated_tokens('weak')}, strong {trace.generated_tokens('strong')} tokens"
        self._console.print(f"   {answer} · {trace.outcome.value} · {tokens} · ${self._cost:.6f}", highlight=False)
        for note in (*trace.notes, *([trace.error] if trace.error else [])):
            self._console.print(f"   [yellow]{escape(note)}[/]", highlight=False)


def _plain(mark: str) -> str:
    return mark.partition("]")[2].removesuffix("[/]")
