"""Deterministic tools: exact arithmetic, algebra in a worker process, and the checks that they make of a step."""
