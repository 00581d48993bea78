"""The embedded default: multi-step word problems with exact checks, two tiny language models and a tiny PRM."""
