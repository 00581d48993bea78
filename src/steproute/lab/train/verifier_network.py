"""The verifier's network: each token beside what a language model expected in its place, read by a small transformer.

A language model knows its expectation of a token one position before the token, after its last layer, where the tokens
themselves have faded. Judging a token means comparing the two. The layers of a language model did not learn that from
labels of steps in our trials; this network is given both.
"""

import torch
from torch import Tensor, nn

from steproute.lab.train.transformer import Block, Shape, Transformer, rotation

_MASKED = -1e9


class VerifierNetwork(nn.Module):
    """A frozen language model, a look back by one position, and `new_layers` blocks over token and expectation.

    `shape.layers` counts all that keep keys and values: the language model's layers, the look back, the new blocks.
    """

    def __init__(self, language_model: Transformer, new_layers: int) -> None:
        super().__init__()
        of = language_model.shape
        layers = of.layers + 1 + new_layers
        self.shape = Shape(vocabulary=of.vocabulary, outputs=1, width=of.width, layers=layers, heads=of.heads)
        self.language_model = language_model.requires_grad_(False)
        self.embed = nn.Embedding(of.vocabulary, of.width)
        self.expected = nn.Linear(of.width, of.width, bias=False)
        blocks = [Block(of.width, of.heads) for _ in range(new_layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(of.width, eps=1e-5)
        self.head = nn.Linear(of.width, 1, bias=False)
        nn.init.normal_(self.embed.weight, std=0.5)
        for block in blocks:
            nn.init.zeros_(block.attention_out.weight)
            nn.init.zeros_(block.down.weight)

    def forward(self, tokens: Tensor, select: Tensor) -> Tensor:
        """tokens: (batch, time) int64, right-padded; select: (batch, time) bool. Returns (selected, 1)."""
        cos, sin = rotation(torch.arange(tokens.shape[1]), self.shape.width // self.shape.heads)
        with torch.no_grad():
            states = self.language_model.embed(tokens)
            for block in self.language_model.blocks:
                states = block(states, cos, sin)
            expectation = self.language_model.norm(states).roll(1, 1)
            expectation[:, 0] = 0.0
        x = self.embed(tokens) + self.expected(expectation)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.head(self.norm(x[select]))

    def extend(
        self, tokens: Tensor, positions: Tensor, past_mask: Tensor, keys: list[Tensor], values: list[Tensor]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """One pass over new tokens with cached past ones; see `Transformer.extend`.

        The past must lie in its cache by position: the look back takes the value at the position before each token.
        """
        cos, sin = (part.unsqueeze(1) for part in rotation(positions, self.shape.width // self.shape.heads))
        later = (positions.unsqueeze(1) > positions.unsqueeze(2)).unsqueeze(1).float() * _MASKED
        below = len(self.language_model.blocks)
        states, new_keys, new_values = self.language_model.embed(tokens), [], []
        for index, block in enumerate(self.language_model.blocks):
            states, key, value = block.extend(states, cos, sin, past_mask, later, keys[index], values[index])
            new_keys.append(key)
            new_values.append(value)
        known = _by_heads(self.language_model.norm(states), self.shape.heads)
        expectation = _one_back(known, values[below], positions)
        new_keys.append(known)
        new_values.append(known)
        x = self.embed(tokens) + self.expected(expectation)
        for index, block in enumerate(self.blocks, below + 1):
            x, key, value = block.extend(x, cos, sin, past_mask, later, keys[index], values[index])
            new_keys.append(key)
            new_values.append(value)
        return self.head(self.norm(x)), new_keys, new_values


def _by_heads(states: Tensor, heads: int) -> Tensor:
    """(batch, time, width) to (batch, heads, time, head width)."""
    batch, time, width = states.shape
    return states.view(batch, time, heads, width // heads).transpose(1, 2)


def _one_back(new: Tensor, past: Tensor, positions: Tensor) -> Tensor:
    """The values one position before each new token, (batch, time, width); zeros before the first."""
    slots = torch.arange(past.shape[2], device=positions.device)
    from_past = (positions.unsqueeze(2) - 1 == slots).float().unsqueeze(1)  # (batch, 1, new, past)
    in_past = from_past * (positions[:, :1, None] > slots).float().unsqueeze(1)
    from_new = (positions.unsqueeze(2) - 1 == positions.unsqueeze(1)).float().unsqueeze(1)
    return (in_past @ past + from_new @ new).transpose(1, 2).flatten(2)
