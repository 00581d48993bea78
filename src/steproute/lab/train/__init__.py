"""Training of the lab models: `python -m steproute.lab.train`."""
