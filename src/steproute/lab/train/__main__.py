"""`python -m steproute.lab.train`: retrain the shipped lab models; a rerun continues where the last one stopped."""

from pathlib import Path
from typing import Annotated, Literal

import torch
import typer

from steproute.lab.models import LabModel
from steproute.lab.network import Network
from steproute.lab.train.export import export
from steproute.lab.train.fitting import snapshot
from steproute.lab.train.hinted import train_hinted
from steproute.lab.train.language_model import train_language_model
from steproute.lab.train.recipes import MID, PLACE, STRONG, VERIFIER, WEAK, WEAK_HINTED
from steproute.lab.train.reward_model import train_reward_model
from steproute.lab.train.rollouts import write_rollouts
from steproute.lab.train.verifier import train_verifier
from steproute.lab.train.walks import write_walks
from steproute.lab.worker import Worker


def main(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, training data and the .onnx files.")] = Path(
        "runs/lab"
    ),
    only: Annotated[
        Literal["strong", "mid", "weak", "weak-hinted", "verifier", "prm-place"] | None,
        typer.Option(help="Train one model; the scorers need weak and strong."),
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Train the four language models and then the two scorers (some two and a half hours on two CPU cores)."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    if only in (None, "strong"):
        export(train_language_model(STRONG, out / "strong"), out / "lab-strong.onnx")
    if only in (None, "mid"):
        export(train_language_model(MID, out / "mid"), out / "lab-mid.onnx")
    if only in (None, "weak"):
        export(train_language_model(WEAK, out / "weak"), out / "lab-weak.onnx")
    if only in (None, "weak-hinted"):
        start = out / f"lab-{WEAK_HINTED.start}.onnx"
        export(train_hinted(WEAK_HINTED, start, out / "weak-hinted"), out / "lab-weak-hinted.onnx", advice=True)
    if only in (None, "verifier"):
        _verifier(out)
    if only in (None, "prm-place"):
        write_rollouts(out / "lab-weak.onnx", PLACE.rollouts, out / "rollouts.jsonl")
        start = snapshot(out / "strong", PLACE.start_step)
        export(train_reward_model(PLACE, start, out / "rollouts.jsonl", out / "prm-place"), out / "lab-prm-place.onnx")


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
