"""Step judges."""
