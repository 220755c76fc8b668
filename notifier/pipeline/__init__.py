"""The stages: load the facts, call the pure parts, write the outcome."""
