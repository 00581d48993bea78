"""The lab's transformer: a small pre-norm decoder with rotary positions, used by both language models and the PRM."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Size of a transformer; `outputs` is the vocabulary for a language model and 1 for a PRM."""

    vocabulary: int
    outputs: int
    width: int
    layers: int
    heads: int


class Transformer(nn.Module):
    """Decoder over token ids; returns `outputs` numbers a position."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        blocks = [Block(shape.width, shape.heads) for _ in range(shape.layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(shape.width, eps=1e-5)
        self.head = nn.Linear(shape.width, shape.outputs, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        nn.init.normal_(self.embed.weight, std=0.5)
        nn.init.zeros_(self.head.weight)
        for block in blocks:
            nn.init.zeros_(block.attention_out.weight)
            nn.init.zeros_(block.down.weight)

    def forward(self, tokens: Tensor, select: Tensor) -> Tensor:
        """tokens: (batch, time) int64, right-padded; select: (batch, time) bool. Returns (selected, outputs)."""
        cos, sin = rotation(torch.arange(tokens.shape[1], device=tokens.device), self.shape.width // self.shape.heads)
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.head(self.norm(x[select]))

    def extend(
        self, tokens: Tensor, positions: Tensor, past_mask: Tensor, keys: list[Tensor], values: list[Tensor]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """One pass over new tokens with cached past ones, the form that is exported to ONNX.

        tokens, positions: (batch, new); past_mask: (batch, 1, 1, past), added to attention logits; keys, values: one
        (batch, heads, past, head width) a layer. Returns (batch, new, outputs) and each layer's new keys and values,
        (batch, heads, new, head width).
        """
        cos, sin = (part.unsqueeze(1) for part in rotation(positions, self.shape.width // self.shape.heads))
        later = positions.unsqueeze(1) > positions.unsqueeze(2)
        new_mask = later.unsqueeze(1).float() * -1e9
        x = self.embed(tokens)
        new_keys, new_values = [], []
        for block, key, value in zip(self.blocks, keys, values, strict=True):
            x, new_key, new_value = block.extend(x, cos, sin, past_mask, new_mask, key, value)
            new_keys.append(new_key)
            new_values.append(new_value)
        return self.head(self.norm(x)), new_keys, new_values


class Block(nn.Module):
    """Attention and a gated-free MLP with squared ReLU, each behind a norm and a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.RMSNorm(width, eps=1e-5)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.RMSNorm(width, eps=1e-5)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """One block over whole sequences."""
        query, key, value = self._heads(x)
        seen = F.scaled_dot_product_attention(rotate(query, cos, sin), rotate(key, cos, sin), value, is_causal=True)
        return self._mlp(x + self.attention_out(seen.transpose(1, 2).flatten(2)))

    def extend(
        self, x: Tensor, cos: Tensor, sin: Tensor, past_mask: Tensor, new_mask: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One block over new positions; also returns their keys and values."""
        query, key, value = self._heads(x)
        query, key = rotate(query, cos, sin) * query.shape[-1] ** -0.5, rotate(key, cos, sin)
        logits = torch.cat([query @ keys.transpose(2, 3) + past_mask, query @ key.transpose(2, 3) + new_mask], -1)
        past, new = logits.softmax(-1).split([keys.shape[2], key.shape[2]], -1)
        seen = past @ values + new @ value
        return self._mlp(x + self.attention_out(seen.transpose(1, 2).flatten(2))), key, value

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, time, width = x.shape
        parts = self.query_key_value(self.attention_norm(x)).view(batch, time, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def _mlp(self, x: Tensor) -> Tensor:
        return x + self.down(F.relu(self.up(self.mlp_norm(x))).square())


def rotation(positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions, (*positions, width / 2)."""
    frequencies = 1000.0 ** (-torch.arange(0, width, 2, device=positions.device) / width)
    angles = positions.unsqueeze(-1).float() * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of (batch, heads, time, width)."""
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)
