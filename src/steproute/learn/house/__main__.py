"""`python -m steproute.learn.house`: retrain the networks of the house; a rerun continues the last one."""

from pathlib import Path
from typing import Annotated, Final

import torch
import typer

from steproute.environments.house.network import HouseNetwork
from steproute.lab.train.fitting import Schedule
from steproute.learn.house.games import judged_lessons
from steproute.learn.house.imitation import HouseRecipe, train_agent, train_scorer, vocabulary, write_network

WEAK: Final = HouseRecipe(width=48, layers=2, heads=4, schedule=Schedule(steps=600, batch=32, mixed=False), seed=3)
PRM: Final = HouseRecipe(width=48, layers=2, heads=4, schedule=Schedule(steps=500, batch=16, mixed=False), seed=4)
_JUDGED: Final = 800


def main(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and weights.")] = Path("runs/house"),
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
) -> None:
    """Train the agent and then the PRM (some two minutes on one CPU core)."""
    torch.set_num_threads(threads)
    words = vocabulary()
    write_network(train_agent(WEAK, words, out / "weak"), words, out / "house-weak.safetensors")
    games = judged_lessons(HouseNetwork(out / "house-weak.safetensors"), _JUDGED)
    write_network(train_scorer(PRM, words, games, out / "prm"), words, out / "house-prm.safetensors")


if __name__ == "__main__":
    typer.run(main)
