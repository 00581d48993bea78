"""The training loop of every lab model: Muon for matrices, AdamW for the rest, resumable checkpoints."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

Batches = Callable[[int], Iterator[tuple[Tensor, Tensor]]]
_Model = TypeVar("_Model", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Steps, batch size in problems, and peak learning rates.

    Warm-up is linear over `warmup` steps, the last `decay` share of the steps falls linearly to zero. Weights are kept
    as they were after each step of `snapshots`. mixed: whether matrices are multiplied in bfloat16 where the processor
    has it, which slows small models down.
    """

    steps: int
    batch: int
    matrix_rate: float = 0.01
    other_rate: float = 3e-3
    warmup: int = 50
    decay: float = 0.5
    checkpoint_every: int = 250
    snapshots: tuple[int, ...] = ()
    mixed: bool = True

    def factor(self, step: int) -> float:
        """Learning rate at `step` as a share of the peak."""
        return min((step + 1) / self.warmup, (self.steps - step) / (self.decay * self.steps), 1.0)


def fit(
    model: _Model,
    batches: Batches,
    loss: Callable[[_Model, Tensor, Tensor], Tensor],
    schedule: Schedule,
    folder: Path,
) -> None:
    """Train `model` in place, where its weights are. `folder` keeps `checkpoint.safetensors`, `checkpoint.json` and
    `log.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = [p for name, p in trained.items() if p.ndim == 2 and name.startswith("blocks")]
    chosen = {id(p) for p in matrices}
    others = [p for p in trained.values() if id(p) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=schedule.matrix_rate, momentum=0.95, weight_decay=0.0),
        torch.optim.AdamW(others, lr=schedule.other_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    device = next(model.parameters()).device
    peaks = [schedule.matrix_rate, schedule.other_rate]
    mixed = schedule.mixed and _multiplies_bfloat16(device)
    start, seconds = _load(folder, model, optimizers)
    stream = batches(start)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress, (folder / "log.jsonl").open("a") as log:
        task = progress.add_task(folder.name, total=schedule.steps, completed=start)
        began, running = time.monotonic() - seconds, 0.0
        for step in range(start, schedule.steps):
            for optimizer, peak in zip(optimizers, peaks, strict=True):
                optimizer.param_groups[0]["lr"] = peak * schedule.factor(step)
            tokens, targets = (each.to(device) for each in next(stream))
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                value = loss(model, tokens, targets)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            running = 0.95 * running + 0.05 * value.item() if step > start else value.item()
            progress.update(task, advance=1, description=f"{folder.name} loss {running:.4f}")
            if (step + 1) % 50 == 0:
                seconds = time.monotonic() - began
                log.write(json.dumps({"step": step + 1, "loss": running, "seconds": seconds}) + "\n")
                log.flush()
            if step + 1 in schedule.snapshots:
                save_file(model.state_dict(), snapshot(folder, step + 1))
            if (step + 1) % schedule.checkpoint_every == 0 or step + 1 == schedule.steps:
                _save(folder, model, optimizers, step + 1, time.monotonic() - began)


def snapshot(folder: Path, step: int) -> Path:
    """Where the weights after `step` are kept."""
    return folder / f"step-{step}.safetensors"


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether it does so itself: a CPU that does not takes five times as long as in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _save(folder: Path, model: nn.Module, optimizers: list[torch.optim.Optimizer], step: int, seconds: float) -> None:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, optimizer in enumerate(optimizers):
        for parameter, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{parameter}.{key}": torch.as_tensor(v) for key, v in state.items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "checkpoint.tmp")
    (folder / "checkpoint.tmp").replace(folder / "checkpoint.safetensors")
    (folder / "checkpoint.json").write_text(json.dumps({"step": step, "seconds": seconds}))


def _load(folder: Path, model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> tuple[int, float]:
    if not (folder / "checkpoint.json").exists():
        return 0, 0.0
    tensors = load_file(folder / "checkpoint.safetensors")
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    for index, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(f"optimizer.{index}."):
                _, _, parameter, name = key.split(".")
                state.setdefault(int(parameter), {})[name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    facts = json.loads((folder / "checkpoint.json").read_text())
    return int(facts["step"]), float(facts["seconds"])
