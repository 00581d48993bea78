"""A small world in text: rooms, things and tools, with three scripted agents and two scorers. Nothing is trained."""
