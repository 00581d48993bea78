"""A simulated deployment in virtual time: models, scorers and servers with their latencies."""
