"""What became of messages after they left, and what follows from it."""
