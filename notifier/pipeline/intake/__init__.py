"""What comes in: read, check, store once, and what turns into an event with time."""
