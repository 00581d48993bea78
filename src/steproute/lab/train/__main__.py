"""`python -m steproute.lab.train`: retrain the shipped lab models; a rerun goes on where the last one stopped."""

from pathlib import Path
from typing import Annotated, Literal

import torch
import typer

from steproute.lab.train.export import export
from steproute.lab.train.fitting import snapshot
from steproute.lab.train.language_model import train_language_model
from steproute.lab.train.recipes import MID, PRM, STRONG, WEAK
from steproute.lab.train.reward_model import train_reward_model
from steproute.lab.train.rollouts import write_rollouts


def main(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, rollouts and the .onnx files.")] = Path("runs/lab"),
    only: Annotated[
        Literal["strong", "mid", "weak", "prm"] | None, typer.Option(help="Train one model; prm needs weak and strong.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Train lab-strong, lab-mid, lab-weak and then lab-prm (some two hours on two CPU cores)."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    if only in (None, "strong"):
        export(train_language_model(STRONG, out / "strong"), out / "lab-strong.onnx")
    if only in (None, "mid"):
        export(train_language_model(MID, out / "mid"), out / "lab-mid.onnx")
    if only in (None, "weak"):
        export(train_language_model(WEAK, out / "weak"), out / "lab-weak.onnx")
    if only in (None, "prm"):
        write_rollouts(out / "lab-weak.onnx", PRM.rollouts, out / "rollouts.jsonl")
        start = snapshot(out / "strong", PRM.start_step)
        export(train_reward_model(PRM, start, out / "rollouts.jsonl", out / "prm"), out / "lab-prm.onnx")


if __name__ == "__main__":
    typer.run(main)
