"""Decide what an event leads to, and say why. Pure: no database, no clock, no network."""
