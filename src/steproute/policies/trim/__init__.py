"""The policies of TRIM: threshold, aggregates, sequence, POMDP."""
