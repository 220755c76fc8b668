"""YAML files read strictly: every error names the file, the line, the field and the mend.

Nothing here knows what the documents mean.
"""

from notifier.documents.document import ConfigErrors, Document, Path_, Strict, dotted
from notifier.documents.durations import Duration, read_duration
from notifier.documents.folder import Documents, misnamed, misnamed_below
from notifier.documents.reading import load, parse, read_text

__all__ = [
    "ConfigErrors",
    "Document",
    "Documents",
    "Duration",
    "Path_",
    "Strict",
    "dotted",
    "load",
    "misnamed",
    "misnamed_below",
    "parse",
    "read_duration",
    "read_text",
]
