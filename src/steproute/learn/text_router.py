"""Fine-tunes a transformer as Arbitrage's text router: two labels at the last token of a draft."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention
from transformers import AutoModelForTokenClassification, AutoTokenizer

from steproute.core.solution import Prefix
from steproute.engine.steps import steps_of
from steproute.learn.advantage_rows import AdvantageRow, Label
from steproute.scorers.prm_network import single_token, tagged
from steproute.scorers.transformers_prm import TransformersPrmSettings

_WARM_UP: Final = 0.05
_DECAY: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterTuning:
    """How a router is trained; the rates are the paper's.

    trained: parts of the names of the weights that are trained, all if there are none. Source: Arbitrage, table C.1.
    """

    epochs: int = 3
    batch: int = 1024
    learning_rate: float = 1e-5
    trained: tuple[str, ...] = ()


def drafted(row: AdvantageRow) -> Prefix:
    """What the router judges: the prefix and the weak model's draft."""
    prefix = row.observation.prefix
    return prefix.extended(*steps_of(row.observation.draft, prefix.separator))


def tune_router(
    rows: Sequence[AdvantageRow],
    label: Label,
    settings: TransformersPrmSettings,
    folder: Path,
    *,
    margin: float = 0.0,
    tuning: RouterTuning = RouterTuning(),
    seed: int = 0,
) -> None:
    """Write a router to `folder`: `settings.model` with two labels, trained on the rows that are not held out.

    Cross-entropy at the last token, AdamW, linear warm-up and decay, classes of one size. `settings` say how a prefix
    becomes text. Raises ConfigError for a marker that is no token.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = AutoTokenizer.from_pretrained(settings.model)
    model: Any = AutoModelForTokenClassification.from_pretrained(settings.model, num_labels=2)
    for name, weight in model.named_parameters():
        weight.requires_grad = not tuning.trained or any(part in name for part in tuning.trained)
    marker = single_token(tokenizer, settings.marker, "marker")
    fitted = [row for row in rows if not row.held_out]
    texts = [tagged(settings, drafted(row), tokenizer, marker) for row in fitted]
    better = np.array([row.advantages[label] > margin for row in fitted])
    optimiser = torch.optim.AdamW(
        [weight for weight in model.parameters() if weight.requires_grad],
        lr=tuning.learning_rate,
        weight_decay=_DECAY,
    )
    batches = [batch for _ in range(tuning.epochs) for batch in _batches(better, tuning.batch, rng)]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, len(batches)))
    model.train()
    for batch in batches:
        logits = _last_logits(model, [texts[index].tokens[: texts[index].judged[-1] + 1] for index in batch])
        loss = F.cross_entropy(logits, torch.tensor(better[batch], dtype=torch.long))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _rate(step: int, steps: int) -> float:
    """Linear warm-up to 1, then linear decay to 0."""
    warm = max(1.0, _WARM_UP * steps)
    return min((step + 1) / warm, (steps - step) / max(1.0, steps - warm))


def _batches(better: Any, size: int, rng: np.random.Generator) -> Iterator[Any]:
    """One pass over as many rows of either class, the larger one sampled in each pass, in random order."""
    classes = [np.flatnonzero(better == value) for value in (False, True)]
    least = min(map(len, classes))
    order = rng.permutation(np.concatenate([rng.choice(each, least, replace=False) for each in classes]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _last_logits(model: Any, texts: Sequence[list[int]]) -> torch.Tensor:
    """The two logits at each text's last token, (text, 2); texts are padded on the right."""
    lengths = torch.tensor([len(tokens) for tokens in texts])
    padded = torch.zeros(len(texts), int(lengths.max()), dtype=torch.long)
    for row, tokens in zip(padded, texts, strict=True):
        row[: len(tokens)] = torch.tensor(tokens)
    mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
    logits: torch.Tensor = model(input_ids=padded, attention_mask=mask).logits
    return logits[torch.arange(len(texts)), lengths - 1].float()
