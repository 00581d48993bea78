"""Deciders, each a small pure class over an observation."""
