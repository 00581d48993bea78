"""`python -m steproute.lab.train`: retrain the shipped lab models; a rerun continues where the last one stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal

import torch
import typer

from steproute.lab.models import LabModel
from steproute.lab.network import Network
from steproute.lab.train.export import export
from steproute.lab.train.fitting import snapshot
from steproute.lab.train.hinted import train_hinted
from steproute.lab.train.language_model import train_language_model
from steproute.lab.train.merging import MergeRecipe, train_merging, write_plans
from steproute.lab.train.recipes import (
    MID,
    PLACE,
    STRONG,
    STRONG_MERGE,
    VERIFIER,
    WEAK,
    WEAK_HINTED,
    WEAK_MERGE,
    WEAK_UNSURE,
)
from steproute.lab.train.reward_model import train_reward_model
from steproute.lab.train.rollouts import write_rollouts
from steproute.lab.train.verifier import train_verifier
from steproute.lab.train.walks import write_walks
from steproute.lab.worker import Worker

_MERGING: Final = {"weak-merge": WEAK_MERGE, "strong-merge": STRONG_MERGE, "weak-unsure": WEAK_UNSURE}


def main(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, training data and the .onnx files.")] = Path(
        "runs/lab"
    ),
    only: Annotated[
        Literal[
            "strong",
            "mid",
            "weak",
            "weak-hinted",
            "weak-merge",
            "strong-merge",
            "weak-unsure",
            "verifier",
            "prm-place",
        ]
        | None,
        typer.Option(
            help="Train one model. The scorers need weak and strong in --out, an aggregator or its control "
            "(weak-unsure) weak and its start."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads, and processes that make examples.")] = 2,
    device: Annotated[str, typer.Option(help="Where the language models that read advice learn: cpu or cuda.")] = "cpu",
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's, for models that read advice.")] = None,
) -> None:
    """Train the three language models and then the two scorers, or the model that is named."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    if only in (None, "strong"):
        export(train_language_model(STRONG, out / "strong"), out / "lab-strong.onnx")
    if only in (None, "mid"):
        export(train_language_model(MID, out / "mid"), out / "lab-mid.onnx")
    if only in (None, "weak"):
        export(train_language_model(WEAK, out / "weak"), out / "lab-weak.onnx")
    if only == "weak-hinted":
        shape = WEAK_HINTED.shape
        recipe = replace(WEAK_HINTED, shape=replace(shape, seed=shape.seed if seed is None else seed))
        hinted = train_hinted(recipe, out / "weak-hinted", device, threads)
        export(hinted, out / "lab-weak-hinted.onnx", reads="example")
    if only is not None and only in _MERGING:
        _aggregator(out, only, _MERGING[only], seed, device)
    if only in (None, "verifier"):
        _verifier(out)
    if only in (None, "prm-place"):
        write_rollouts(out / "lab-weak.onnx", PLACE.rollouts, out / "rollouts.jsonl")
        start = snapshot(out / "strong", PLACE.start_step)
        export(train_reward_model(PLACE, start, out / "rollouts.jsonl", out / "prm-place"), out / "lab-prm-place.onnx")


def _aggregator(out: Path, name: str, recipe: MergeRecipe, seed: int | None, device: str) -> None:
    plans = out / "plans.jsonl"
    write_plans(LabModel("lab-weak", Worker(Network(out / "lab-weak.onnx"))), recipe.stories, plans)
    recipe = replace(recipe, seed=recipe.seed if seed is None else seed)
    merging = train_merging(recipe, out / f"lab-{recipe.start}.onnx", plans, out / name, device)
    export(merging, out / f"lab-{name}.onnx", reads="plans" if recipe.shown else None)


def _verifier(out: Path) -> None:
    weak, strong = (
        LabModel(f"lab-{name}", Worker(Network(out / f"lab-{name}.onnx")))  # type: ignore[arg-type]
        for name in ("weak", "strong")
    )
    write_walks(weak, strong, VERIFIER.walks, out / "walks.jsonl")
    start = out / f"lab-{VERIFIER.start}.onnx"
    export(train_verifier(VERIFIER, start, out / "walks.jsonl", out / "verifier"), out / "lab-verifier.onnx")


if __name__ == "__main__":
    typer.run(main)
