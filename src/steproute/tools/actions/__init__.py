"""Actions: calls of tools that a model writes in text, and the tools, which run in a worker process."""
