"""Decide who is told, over which channels, and what they refused. Pure."""
