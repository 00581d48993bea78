"""Environments: what answers a step, such as a tool."""
