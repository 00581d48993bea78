"""Reward models out of Hugging Face folders: a transformer's body by transformers, and the heads that it does not know.

Needs the packages of the extra [prm]; imported only when a model is loaded.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, logging
from transformers.utils.hub import cached_file

from steproute.core.errors import ConfigError, ScorerError
from steproute.core.solution import Prefix
from steproute.scorers.prm_batches import Reading
from steproute.scorers.step_text import StepText

if TYPE_CHECKING:
    from steproute.scorers.transformers_prm import TransformersPrmSettings

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_ROUNDING = 0.02
_LABELS = 2
_BATCH_TOKENS = {"cpu": 1024}
_MOST_TOKENS = 16384

AUTHOR_TAGS = ("Model 0: ", "Model 1: ")
"""What a router reads in front of a step by the weak model, and by another."""

ScoreHead = Callable[[torch.Tensor], torch.Tensor]
"""Hidden states (mark, width) to scores (mark,)."""


def load(settings: "TransformersPrmSettings") -> "Network":
    """The model on its device. Raises ConfigError if it cannot be loaded, is incomplete or has another head."""
    device = settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    kind: Any = AutoModelForCausalLM if settings.head == "marker-token" else AutoModel
    try:
        with _no_report():
            tokenizer = AutoTokenizer.from_pretrained(settings.model)
            model, report = kind.from_pretrained(settings.model, dtype=settings.dtype, output_loading_info=True)
        model = model.to(device).eval()
    except (OSError, ValueError, RuntimeError) as failure:
        raise ConfigError(
            f"{settings.model!r} cannot be loaded on {device} ({str(failure)[:300]}).", where="model"
        ) from None
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise ConfigError(
            f"{settings.model!r} lacks weights ({missing}).",
            where="model",
            remedy="Download it again; is the head right?",
        )
    with torch.inference_mode():
        return Network(settings, tokenizer, model, _judge(settings, tokenizer, model))


@contextmanager
def _no_report() -> Iterator[None]:
    """Without what transformers reports of weights that it does not use: the heads, which are ours."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


class Network:
    """A loaded model with its head."""

    def __init__(self, settings: "TransformersPrmSettings", tokenizer: Any, model: Any, judge: ScoreHead) -> None:
        self._settings, self._tokenizer, self._judge = settings, tokenizer, judge
        self._body = model.base_model
        self._device = model.device
        self.max_batch_tokens = settings.max_batch_tokens or _BATCH_TOKENS.get(model.device.type, _MOST_TOKENS)
        self._context: int | None = getattr(model.config, "max_position_embeddings", None)
        self._marker = single_token(tokenizer, settings.marker, "marker")

    def read(self, prefix: Prefix) -> Reading:
        """See PrmNetwork.read."""
        read = {"skywork": self._lines, "router": self._tagged}.get(self._settings.head, self._whole)
        reading = read(prefix)
        if self._context is not None and len(reading.tokens) > self._context:
            raise ScorerError(
                f"{len(reading.tokens)} tokens do not fit a context of {self._context}.",
                where=self._settings.model,
                remedy="Use fewer steps, or a model with a longer one.",
            )
        return reading

    def scores(self, batch: Sequence[Reading]) -> list[tuple[float, ...]]:
        """See PrmNetwork.scores; texts are padded on the right, where nothing before them looks."""
        lengths = [len(reading.tokens) for reading in batch]
        tokens = torch.zeros(len(batch), max(lengths), dtype=torch.long)
        for row, reading in zip(tokens, batch, strict=True):
            row[: len(reading.tokens)] = torch.tensor(reading.tokens)
        there = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]  # (text, token)
        rows = [row for row, reading in enumerate(batch) for _ in reading.judged]
        columns = [place for reading in batch for place in reading.judged]
        with torch.inference_mode():
            mask = None if len(set(lengths)) == 1 else there.long().to(self._device)
            output = self._body(input_ids=tokens.to(self._device), attention_mask=mask, use_cache=False)
            values = self._judge(output.last_hidden_state[rows, columns]).tolist()
        if not all(0 <= value <= 1 for value in values):
            raise ScorerError(
                "gave scores that are no probabilities.", where=self._settings.model, remedy="Try dtype = 'float32'."
            )
        marks = iter(values)
        return [tuple(next(marks) for _ in reading.judged) for reading in batch]

    def _whole(self, prefix: Prefix) -> Reading:
        """The text in one piece, judged at each of the marker's tokens."""
        tokens = self._tokenizer.encode(self._settings.written(prefix))
        judged = [place for place, token in enumerate(tokens) if token == self._marker]
        if len(judged) != len(prefix.steps):
            raise ScorerError(
                f"{len(judged)} marks for {len(prefix.steps)} steps.",
                where=self._settings.model,
                remedy=f"Does the problem hold {self._settings.marker!r}, or do the tokens beside it swallow it?",
            )
        return Reading(tokens, judged)

    def _lines(self, prefix: Prefix) -> Reading:
        """The text line by line, each closed by the marker's token, and a step judged at its last one's."""
        before, after = self._settings.around(prefix)
        tokens, judged = self._encoded((self._tokenizer.bos_token or "") + before), []
        for step in prefix.steps:
            for line in [line for line in step.text.split(self._settings.marker) if line] or [""]:
                tokens += [*self._encoded(line), self._marker]
            judged.append(len(tokens) - 1)
        return Reading(tokens + self._encoded(after), judged)

    def _tagged(self, prefix: Prefix) -> Reading:
        """See `tagged`."""
        return tagged(self._settings, prefix, self._tokenizer, self._marker)

    def _encoded(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False) if text else []
        return tokens


def tagged(settings: StepText, prefix: Prefix, tokenizer: Any, marker: int) -> Reading:
    """What a router reads: the problem, then each step behind the tag of its author and closed by the marker.

    There is no token for the beginning. Source: Arbitrage (arXiv 2512.05033), history annotation.
    """
    before, after = (tokenizer.encode(text, add_special_tokens=False) for text in settings.around(prefix))
    tokens, judged = list(before), []
    for step in prefix.steps:
        text = AUTHOR_TAGS[step.role != "weak"] + step.text
        tokens += [*tokenizer.encode(text, add_special_tokens=False), marker]
        judged.append(len(tokens) - 1)
    return Reading([*tokens, *after], judged)


def _judge(settings: "TransformersPrmSettings", tokenizer: Any, model: Any) -> ScoreHead:
    """The head, computed in float32."""
    if settings.head == "marker-token":
        return _candidates(settings, tokenizer, model)
    if settings.head == "router":
        return _kept(settings, model)
    names = {
        "qwen-prm": ("score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias"),
        "skywork": ("v_head.summary.weight", "v_head.summary.bias"),
    }[settings.head]
    there = _tensors(settings.model, names)
    if missing := [name for name in names if name not in there]:
        raise ConfigError(
            f"{settings.model!r} has no {missing[0]}, so its head is not {settings.head!r}.", where="head"
        )
    parts = [there[name].to(model.device, torch.float32) for name in names]
    if settings.head == "skywork":
        weight, bias = parts
        return lambda hidden: torch.sigmoid(hidden.float() @ weight[0] + bias[0])
    first, first_bias, second, second_bias = parts

    def good(hidden: torch.Tensor) -> torch.Tensor:
        logits = torch.relu(hidden.float() @ first.T + first_bias) @ second.T + second_bias  # (mark, (bad, good))
        return logits.softmax(dim=-1)[:, 1]

    return good


def _kept(settings: "TransformersPrmSettings", model: Any) -> ScoreHead:
    """P(the strong model's step would be no better): the first of two labels, of a linear layer."""
    there = _tensors(settings.model, ("score.weight", "score.bias"))
    weight = there.get("score.weight")
    if weight is None or len(weight) != _LABELS:
        raise ConfigError(
            f"{settings.model!r} has no score.weight of {_LABELS} labels, so its head is not 'router'.", where="head"
        )
    weight = weight.to(model.device, torch.float32)
    bias = there.get("score.bias", torch.zeros(_LABELS)).to(model.device, torch.float32)
    return lambda hidden: (hidden.float() @ weight.T + bias).softmax(dim=-1)[:, 0]


def _candidates(settings: "TransformersPrmSettings", tokenizer: Any, model: Any) -> ScoreHead:
    """P(good) against P(bad) as the next token."""
    pair = [single_token(tokenizer, settings.good, "good"), single_token(tokenizer, settings.bad, "bad")]
    output = model.get_output_embeddings()
    weight = output.weight[pair].float()
    bias = torch.zeros(2, device=model.device) if output.bias is None else output.bias[pair].float()

    def logits(hidden: torch.Tensor) -> torch.Tensor:
        return hidden.float() @ weight.T + bias

    probe = torch.tensor([pair], device=model.device)
    whole = model(input_ids=probe, use_cache=False).logits[0, -1, pair].float()
    own = logits(model.base_model(input_ids=probe, use_cache=False).last_hidden_state[0, -1])
    if not torch.allclose(whole, own, rtol=_ROUNDING, atol=_ROUNDING):
        raise ConfigError(
            f"{settings.model!r} scales or caps its logits, which 'marker-token' does not know.", where="head"
        )
    return lambda hidden: logits(hidden).softmax(dim=-1)[:, 0]


def _tensors(model: str, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Those of the named weights that are there."""
    index = cached_file(model, _INDEX, _raise_exceptions_for_missing_entries=False)
    files = {_SINGLE}
    if index is not None:
        with open(index) as document:
            places: dict[str, str] = json.load(document)["weight_map"]
        files = {places[name] for name in names if name in places}
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        path = cached_file(model, file, _raise_exceptions_for_missing_entries=False)
        if path is None:
            raise ConfigError(
                f"{model!r} has no {file}.", where="model", remedy="Use one whose weights are safetensors."
            )
        with safe_open(path, framework="pt") as weights:
            tensors |= {name: weights.get_tensor(name) for name in names if name in weights.keys()}  # noqa: SIM118
    return tensors


def single_token(tokenizer: Any, text: str, field: str) -> int:
    """The id of a text that is one token, white space around it aside. Raises ConfigError if it is not one."""
    for form in (text, text.strip()):
        tokens = tokenizer.encode(form, add_special_tokens=False) if form else []
        if len(tokens) == 1 and tokens[0] != tokenizer.unk_token_id:
            token: int = tokens[0]
            return token
    raise ConfigError(
        f"{text!r} is no single token of this model.", where=field, remedy="Give one, as its model card names it."
    )
