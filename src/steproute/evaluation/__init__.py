"""Data sets, answer checking, metrics, comparisons and reports."""
