"""The gateway: an OpenAI-compatible endpoint in front of the models, whose budgets cannot be overspent."""
