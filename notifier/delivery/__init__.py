"""Decide how a message is sent: states, retries, fallback. Pure."""
