"""Nothing that a model, a problem, a server or a file says reaches the terminal as a control sequence."""

import ast
import re
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table
from tests.core.test_printable import HOSTILE, KEPT, UNSEEN

import steproute.cli
from steproute.cli import main
from steproute.cli.live import LiveView
from steproute.cli.terminal import Terminal, print_json
from steproute.cli.waits import Waits
from steproute.core.decision import Rewrite
from steproute.core.errors import ConfigError, RateLimited
from steproute.core.events import Accepted, Billed, Decided, Drafted, Finished, Scored, Started
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Outcome, Scores, Step, Stop
from steproute.core.trace import Trace
from steproute.core.usage import FREE, AccountLine, Purpose, Usage
from steproute.engine.limiter import Limiter
from steproute.engine.roles import ModelRole, Roles

OWN = re.compile(r"\x1b\[[0-9;?]*[mKhlA-H]|\r")
"""What rich sends itself."""


def harmless(printed: str) -> bool:
    return not set(OWN.sub("", printed)) & (set(UNSEEN) - set(KEPT))


def live(text: str) -> str:
    """What the live view prints of an episode that says `text` wherever it can."""
    file = StringIO()
    view = LiveView(Terminal(file=file, force_terminal=True, width=100), lambda problem, texts: False)
    untold = LiveView(Terminal(file=file, force_terminal=True, width=100))
    draft = Draft(role="weak", model=text, text=text, stop=Stop.SEPARATOR, usage=Usage())
    line = AccountLine(
        role=text, model=text, purpose=Purpose.ACCEPTED, usage=Usage(), cost_usd=Decimal(0), price_table=text,
        latency_s=0.0,
    )  # fmt: skip
    trace = Trace(
        problem_id=text, route=text, steps=(), answer=text, outcome=Outcome.FAILED, account=(line,), latency_s=0.0,
        seed=0, error=text, notes=(text,),
    )  # fmt: skip
    for event in (
        Started(Problem.ask(id=text, text=text, answer=f"{text}!")),
        Drafted(draft),
        Billed(line),
        Scored(Scores(values=(0.5,), model=text, usage=Usage())),
        Decided(Rewrite("strong"), draft, 0.5),
        Accepted(Step(role=text, text=text, tokens=1)),
        Finished(trace),
    ):
        view(event)
        untold(event)
    return file.getvalue()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_live_view_shows_text_alone(hostile: str) -> None:
    printed = live(f"a{hostile}b {hostile} c")
    assert harmless(printed)
    assert "ab  c" in printed


@pytest.mark.parametrize("markup", ["[/]", "[red]x", "[link=http://evil.example]x[/link]", "[/b] [b]"])
def test_the_live_view_does_not_interpret_markup(markup: str) -> None:
    """Of a problem, a rejected and an accepted step and its author, an answer and the correct one, notes and bills."""
    assert OWN.sub("", live(markup)).count(markup) == 16


@pytest.mark.parametrize("hostile", HOSTILE)
def test_tables_markup_and_progress_show_text_alone(hostile: str) -> None:
    file = StringIO()
    terminal = Terminal(file=file, force_terminal=True, width=60)
    table = Table(f"a{hostile}", title=hostile, caption=hostile)
    table.add_row(f"one {hostile} two {hostile}")
    terminal.print(table)
    terminal.print(f"[red]x{hostile}y[/]")
    terminal.rule(hostile)
    with Progress(TextColumn("{task.description}"), console=terminal) as progress:
        progress.add_task(f"solving {hostile}")
    assert harmless(file.getvalue())


@pytest.mark.parametrize("hostile", HOSTILE)
def test_error_lines_and_json_show_text_alone(
    hostile: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise ConfigError(f"m: status 500: [red]oops{hostile}")

    monkeypatch.setattr(main, "app", fails)
    with pytest.raises(SystemExit):
        main.main()
    print_json(f'{{"text": "{hostile.replace(chr(92), chr(92) * 2)}"}}')
    printed = capsys.readouterr()
    assert "error: m: status 500: [red]oops" in printed.err
    assert harmless(printed.err)
    assert not set(printed.out) & (set(UNSEEN) - set(KEPT))


def test_every_command_prints_by_the_terminal() -> None:
    for path in Path(steproute.cli.__file__).parent.glob("*.py"):
        if path.name == "terminal.py":
            continue
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not names & {"Console", "print"}, f"{path.name}: use Terminal"


def test_progress_shows_how_long_a_backend_asks_to_wait() -> None:
    import asyncio

    limiter = Limiter(name="http://host")
    writer = ModelRole(model=None, price=FREE, limiter=limiter)  # type: ignore[arg-type]
    waits = Waits(Roles(models={"weak": writer}))

    async def limited() -> str:
        assert str(waits.render(None)) == ""  # type: ignore[arg-type]
        with pytest.raises(RateLimited):
            async with limiter.slot(Meter()):
                raise RateLimited("slow down", 34.0)
        return str(waits.render(None))  # type: ignore[arg-type]

    assert asyncio.run(limited()) in ("http://host asks to wait 34 s", "http://host asks to wait 33 s")
