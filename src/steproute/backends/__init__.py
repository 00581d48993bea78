"""Step writers: recorded models and, with their packages, live ones."""
