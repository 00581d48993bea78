"""The vocabulary: plain data, ports and errors."""
