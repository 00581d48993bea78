"""Parts for steproute, found by the entry points in pyproject.toml."""
