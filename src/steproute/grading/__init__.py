"""Final answers: one normalisation, one comparison, and a worker process for the mathematics."""
