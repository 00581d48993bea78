"""One problem or many under way: accounting, budgets, retries, cancellation, resume."""
