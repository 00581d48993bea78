"""Repairs of what a model wrote, from the text alone and at no cost."""
