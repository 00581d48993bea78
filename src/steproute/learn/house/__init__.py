"""Trains the agents of the house and their process reward model by imitation (PyTorch)."""
