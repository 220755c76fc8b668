"""Measure notifier beside the obvious stack, on this machine, in one run."""
