"""Alerts and time, pure: what matches, what is muted, what is told together, and when."""
