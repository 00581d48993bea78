"""Baselines: random routing, reward-guided speculative decoding, token confidence."""
