"""``make demo``: everything at work on one machine, told as a table of expected and real outcomes."""

from notifier.embedded.demo.show import show

__all__ = ["show"]
