"""All settings: ``config/notifier.yaml``, then ``NOTIFIER_*`` variables, then ``NOTIFIER_*_FILE`` secrets.

A later source wins over an earlier one. Knows names, types and defaults; opens nothing.
"""

from notifier.settings.folders import ROOT, find_config
from notifier.settings.model import Settings
from notifier.settings.reading import defaults, explained, load_settings, placed, read_document

__all__ = [
    "ROOT",
    "Settings",
    "defaults",
    "explained",
    "find_config",
    "load_settings",
    "placed",
    "read_document",
]
