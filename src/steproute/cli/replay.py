"""`steproute replay`: recorded solutions of real models in the same loop, with the same account and metrics."""

from typing import Annotated

import typer

from steproute.cli.evaluate import run_to_files, show
from steproute.cli.options import RUNS, Config, Knobs, Name, Runs, Seed, numbers
from steproute.cli.terminal import Terminal, print_json
from steproute.config import ConfigFile, RouteSettings, RunConfig, read_config
from steproute.core.errors import ConfigError
from steproute.core.usage import Price
from steproute.engine.run_folder import name_of
from steproute.evaluation.recordings import Recorded, load_recorded
from steproute.evaluation.summary import Summary

_WHOLE = ("cascade", "automix-prm")


def replay(
    recorded: Annotated[str, typer.Argument(help="Which recording: qwen3 or llama.")],
    strategy: Annotated[
        str, typer.Option(help="cascade: the strong model takes over at a step; automix-prm: after the whole answer.")
    ] = "cascade",
    policy: Annotated[str, typer.Option(help="The policy that decides.")] = "threshold",
    knobs: Knobs = "",
    config: Config = None,
    seed: Seed = 0,
    name: Name = None,
    runs: Runs = RUNS,
    json: Annotated[bool, typer.Option("--json", help="Print summary.json.")] = False,
) -> None:
    """Replay recorded solutions of real models on MATH-500 with their real PRM scores.

    The strong model always solves from scratch, because recordings do not say how it would continue a weak prefix. It
    starts at the first weak step that the policy does not accept (cascade), or if the lowest score of the weak model's
    answer is too low (automix-prm). The prices are nominal; --config takes those of weak, strong and prm from a
    steproute.toml. Needs the data folder (STEPROUTE_DATA).

    Example: steproute replay qwen3 --knobs 0,0.25,0.5,0.75,1
    """
    if strategy not in _WHOLE:
        raise ConfigError(
            f"{strategy!r} needs steps that nobody recorded.", where="strategy", remedy=f"Use {' or '.join(_WHOLE)}."
        )
    source, digest = load_recorded(recorded), ""
    if config is not None:
        file = read_config(config)
        source, digest = source.priced(_prices(file)), file.digest
    words = ["replay", recorded, strategy, policy, str(seed), *([config.stem] if config else [])]
    run = RunConfig(
        name=name_of("-".join(words)) if name is None else name,
        data=f"recorded:{recorded}",
        route=RouteSettings(strategy=strategy, policy=policy),
        knobs=numbers(knobs),
        baselines=("random",),
        config_digest=digest,
        seed=seed,
        limits=source.limits,
    )
    folder = runs / run.name
    summary = run_to_files(run, run.sweep(), source.problems, source.roles, folder)
    if json:
        print_json((folder / "summary.json").read_text())
        return
    show(summary, folder)
    _compare(source, summary)


def _prices(file: ConfigFile) -> dict[str, Price]:
    models = {role: file.price("models", role) for role in ("weak", "strong")}
    return {**models, "prm": file.price("scorers", "prm")}


def _compare(source: Recorded, summary: Summary) -> None:
    """Print our accuracy next to the recorded one."""
    console = Terminal()
    for role, point in (("weak", summary.weak), ("strong", summary.strong)):
        verdicts = [right for (author, _), right in source.graded.items() if author == role]
        console.print(
            f"  always-{role}: {point.accuracy:.4f} of {summary.problems} judged here, "
            f"{sum(verdicts) / len(verdicts):.4f} of {len(verdicts)} recorded as right",
            highlight=False,
        )
    console.print(f"  [dim]{source.note}[/]")
