"""The `steproute` command."""
