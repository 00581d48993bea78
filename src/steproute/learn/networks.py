"""The torch side of TRIM-Agg and TRIM-Seq: what Stable-Baselines3 trains, and how it becomes NumPy arrays."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from steproute.core.observation import Observation
from steproute.policies.stored import AGG, AGG_CONFIDENCE, SEQ
from steproute.policies.trim.agg import AGGREGATES, CONFIDENCES, AggNetwork, agg_features, confident_features
from steproute.policies.trim.learned import F64, DecisionNetwork
from steproute.policies.trim.seq import HEADS, HORIZON, LAYERS, SEQUENCE, STEP_FEATURES, SeqNetwork, sequence_features

_WIDTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A network to train: how it sees a moment, (inputs,), its torch policy, and its NumPy twin."""

    inputs: int
    features: Callable[[Observation, float], F64]
    policy: type[ActorCriticPolicy]
    extractor: type[BaseFeaturesExtractor]
    export: Callable[[ActorCriticPolicy], DecisionNetwork]


def _blocks(inputs: int) -> nn.Sequential:
    """Two blocks of TRIM-Agg's encoder and heads."""
    layers: list[nn.Module] = []
    for size in (inputs, _WIDTH):
        layers += [nn.Linear(size, _WIDTH), nn.LayerNorm(_WIDTH), nn.Tanh()]
    return nn.Sequential(*layers)


class _AggEncoder(BaseFeaturesExtractor):
    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__(observation_space, _WIDTH)
        self.blocks = _blocks(gym.spaces.flatdim(observation_space))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.blocks(observations)


class _AggHeads(nn.Module):
    latent_dim_pi = latent_dim_vf = _WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.actor, self.critic = _blocks(_WIDTH), _blocks(_WIDTH)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.actor(features), self.critic(features)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        return self.actor(features)

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        return self.critic(features)


class _AggPolicy(ActorCriticPolicy):
    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _AggHeads()


def export_agg(policy: ActorCriticPolicy) -> AggNetwork:
    """The encoder and the actor's head as one network of NumPy arrays."""
    layers = [*policy.features_extractor.blocks.children(), *policy.mlp_extractor.actor.children()]
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    norms = [layer for layer in layers if isinstance(layer, nn.LayerNorm)]
    weights = _logits(policy)
    for index, (line, norm) in enumerate(zip(linear, norms, strict=True)):
        weights |= _line(f"blocks.{index}", line)
        weights |= {f"blocks.{index}.gain": _array(norm.weight), f"blocks.{index}.shift": _array(norm.bias)}
    return AggNetwork(weights)


class _SeqLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.qkv, self.out = nn.Linear(_WIDTH, 3 * _WIDTH), nn.Linear(_WIDTH, _WIDTH)
        self.up, self.down = nn.Linear(_WIDTH, 4 * _WIDTH), nn.Linear(4 * _WIDTH, _WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, steps, _ = x.shape
        parts = self.qkv(self.attention_norm(x)).view(batch, steps, 3, HEADS, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.relu(self.up(self.mlp_norm(x))))


class _SeqEncoder(BaseFeaturesExtractor):
    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__(observation_space, _WIDTH)
        self.step = nn.Linear(STEP_FEATURES + 1, _WIDTH)
        self.position = nn.Parameter(0.02 * torch.randn(HORIZON, _WIDTH))
        self.layers = nn.ModuleList(_SeqLayer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(_WIDTH)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        newest = observations[:, 1].long().clamp(min=1) - 1
        steps = int(newest.max()) + 1  # what comes after the newest step cannot be seen: the attention is causal
        sequence = observations[:, 2:].view(-1, STEP_FEATURES, HORIZON)[:, :, :steps].transpose(1, 2)
        lam = observations[:, :1, None].expand(-1, steps, 1)
        x = self.step(torch.cat([sequence, lam], dim=2)) + self.position[:steps]
        for layer in self.layers:
            x = layer(x)
        return self.norm(x[torch.arange(len(x)), newest])


class _NoHeads(nn.Module):
    latent_dim_pi = latent_dim_vf = _WIDTH

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return features, features

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        return features

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        return features


class _SeqPolicy(ActorCriticPolicy):
    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        super()._build(lr_schedule)
        for layer in self.features_extractor.layers:  # each layer begins as the identity, or PPO may collapse
            nn.init.zeros_(layer.out.weight)
            nn.init.zeros_(layer.down.weight)
        nn.init.zeros_(self.value_net.weight)  # else its error moves the shared encoder 400 times as much as the policy

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _NoHeads()


def export_seq(policy: ActorCriticPolicy) -> SeqNetwork:
    """The transformer and the actor as one network of NumPy arrays."""
    encoder = policy.features_extractor
    weights = _logits(policy) | _line("step", encoder.step) | {"position": _array(encoder.position)}
    weights |= {"gain": _array(encoder.norm.weight), "shift": _array(encoder.norm.bias)}
    for index, layer in enumerate(encoder.layers):
        for name in ("qkv", "out", "up", "down"):
            weights |= _line(f"layers.{index}.{name}", getattr(layer, name))
        for name in ("attention", "mlp"):
            norm = getattr(layer, f"{name}_norm")
            weights[f"layers.{index}.{name}_gain"] = _array(norm.weight)
            weights[f"layers.{index}.{name}_shift"] = _array(norm.bias)
    return SeqNetwork(weights)


AGG_ARCHITECTURE: Final = Architecture(
    inputs=AGGREGATES + 1, features=agg_features, policy=_AggPolicy, extractor=_AggEncoder, export=export_agg
)
AGG_CONFIDENCE_ARCHITECTURE: Final = replace(
    AGG_ARCHITECTURE, inputs=AGGREGATES + CONFIDENCES + 1, features=confident_features
)
SEQ_ARCHITECTURE: Final = Architecture(
    inputs=SEQUENCE, features=sequence_features, policy=_SeqPolicy, extractor=_SeqEncoder, export=export_seq
)


ARCHITECTURES: Final = {
    AGG: AGG_ARCHITECTURE,
    AGG_CONFIDENCE: AGG_CONFIDENCE_ARCHITECTURE,
    SEQ: SEQ_ARCHITECTURE,
}


def _logits(policy: ActorCriticPolicy) -> dict[str, F64]:
    return _line("logits", policy.action_net)


def _line(name: str, line: nn.Linear) -> dict[str, F64]:
    return {f"{name}.weight": _array(line.weight), f"{name}.bias": _array(line.bias)}


def _array(tensor: torch.Tensor) -> F64:
    array: F64 = tensor.detach().numpy().astype(np.float64)
    return array
