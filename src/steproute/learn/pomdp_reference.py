"""The parameters that TRIM's authors fitted for TRIM-POMDP, read from their files."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from steproute.core.errors import ArtifactError
from steproute.lab.trim_world.parameters import STRONG, WEAK, load_parameters
from steproute.policies.trim.pomdp_model import F64, Rewriter, StepPomdp

_OBSERVATIONS: Final = "obs_distribution_*.json"
_TERMINAL: Final = "terminal_predictor_*.json"
_TRANSITIONS: Final = "transition_params_*.json"
_WEAK, _STRONG = "qwen2.5-1.5b-instruct", "qwen2.5-7b-instruct"


def load_reference(folder: Path, observations: str = "math_train") -> StepPomdp:
    """The model from a folder of the authors' parameter files, with the accuracies of Qwen2.5-1.5B and 7B.

    `observations` names the fitted set, `math_train` or `omni`. Raises ArtifactError for a folder without such files.
    """
    seen = _read(folder, _OBSERVATIONS.replace("*", f"{observations}*"))
    terminal, transitions = _read(folder, _TERMINAL), _read(folder, _TRANSITIONS)
    try:
        states = seen["states"]
        bins = round(1 / seen["bin_size"])
        hazard = {int(step): value for step, value in terminal["slm"]["probs_dict"].items()}
        return StepPomdp(
            weak_accuracy=transitions[_WEAK]["per_step_accuracy"],
            rewriters=(Rewriter("strong", transitions[_STRONG]["per_step_accuracy"]),),
            hazard=np.array([hazard[step] for step in range(len(hazard))]),
            observations=np.stack([_grid(states[str(state)], bins) for state in range(3)]),
        )
    except (KeyError, TypeError, ValueError) as failure:
        raise ArtifactError(f"its parameter files lack or misspell {failure}.", where=folder) from None


def embedded_reference() -> StepPomdp:
    """The same model from the parameters in the package, which are those of `--data trim-world`."""
    world = load_parameters()
    return StepPomdp(
        weak_accuracy=world.models[WEAK].step_accuracy,
        rewriters=(Rewriter("strong", world.models[STRONG].step_accuracy),),
        hazard=np.array(world.models[WEAK].hazard),
        observations=world.observations,
    )


def _grid(state: dict[str, Any], bins: int) -> F64:
    grid = np.zeros((bins, bins))
    for (least, newest), probability in zip(state["bin_centres"], state["probs"], strict=True):
        grid[int(least * bins), int(newest * bins)] = probability
    found: F64 = grid / grid.sum()
    return found


def _read(folder: Path, pattern: str) -> Any:
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise ArtifactError(f"holds no {pattern}.", where=folder, remedy="Name a folder of TRIM-POMDP's parameters.")
    try:
        return json.loads(paths[0].read_bytes())
    except json.JSONDecodeError as failure:
        raise ArtifactError(f"line {failure.lineno} is not JSON: {failure.msg}.", where=paths[0]) from None
