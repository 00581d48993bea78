"""TRIM's own world: problems, two step models and a PRM that are drawn from the authors' published parameters."""
