"""The recipes of the shipped lab models."""

from dataclasses import replace
from typing import Final

from steproute.lab.train.fitting import Schedule
from steproute.lab.train.hinted import HintedRecipe
from steproute.lab.train.language_model import Recipe
from steproute.lab.train.merging import MergeRecipe
from steproute.lab.train.reward_model import RewardRecipe
from steproute.lab.train.verifier import VerifierRecipe

_PLACE_START: Final = 2500

STRONG: Final = Recipe(
    width=128, layers=3, heads=4, schedule=Schedule(steps=6000, batch=32, snapshots=(_PLACE_START,)), seed=1
)
WEAK: Final = Recipe(width=96, layers=2, heads=4, schedule=Schedule(steps=2150, batch=32, matrix_rate=0.02), seed=2)
MID: Final = Recipe(width=112, layers=3, heads=4, schedule=Schedule(steps=3000, batch=32), seed=4)
PLACE: Final = RewardRecipe(
    start=STRONG,
    start_step=_PLACE_START,
    rollouts=14_000,
    schedule=Schedule(steps=1200, batch=32, matrix_rate=0.003, other_rate=1e-3),
    seed=3,
)
VERIFIER: Final = VerifierRecipe(
    start="mid",
    new_layers=2,
    walks=5888,
    schedule=Schedule(steps=600, batch=10, matrix_rate=0.01, other_rate=2e-3),
    seed=5,
)
WEAK_HINTED: Final = HintedRecipe(
    shape=Recipe(width=96, layers=2, heads=4, schedule=Schedule(steps=8000, batch=128, matrix_rate=0.02), seed=6),
    bank=30_000,
    calculating=0.05,
)
WEAK_MERGE: Final = MergeRecipe(
    start="weak",
    stories=24_000,
    schedule=Schedule(steps=3000, batch=64, matrix_rate=0.005, other_rate=1e-3),
    seed=7,
)
WEAK_UNSURE: Final = replace(WEAK_MERGE, shown=False)
"""The control: what lab-weak learns from the steps at which it is unsure, without plans for them."""
STRONG_MERGE: Final = replace(WEAK_MERGE, start="strong", schedule=replace(WEAK_MERGE.schedule, steps=1500), seed=8)
