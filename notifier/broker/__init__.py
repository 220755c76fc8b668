"""Speak to Redis: intake streams, wake-ups, requests for results, counters. Holds no truth."""
