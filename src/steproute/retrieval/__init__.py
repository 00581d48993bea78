"""Finding a solved step that is like a new one."""
