"""Hold the texts of a folder of rules, as they lay there at one moment, and tell when they have changed.

Reads files; knows nothing of what stands in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from notifier.documents import Document, misnamed, misnamed_below, parse, read_text
from notifier.errors import ConfigError

Signature = tuple[tuple[str, tuple[int, ...]], ...]
"""Names, and what tells one state of a file from another without reading it."""

_PATTERN = "*.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFiles:
    """Path below the folder → text; ``errors`` names the files that could not be read."""

    folder: Path
    texts: Mapping[str, str]
    errors: tuple[ConfigError, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "RuleFiles":
        """Read every ``*.yaml`` below ``folder``.

        Raises:
            ConfigError: the folder is missing, or cannot be read.
        """
        if not folder.is_dir():
            raise ConfigError("the folder does not exist", file=folder, mend="create it, or set the path")
        texts: dict[str, str] = {}
        errors: list[ConfigError] = []
        try:
            found = sorted(folder.rglob(_PATTERN))
            errors += map(misnamed, misnamed_below(folder))
        except OSError as error:
            raise ConfigError(error.strerror or "cannot be read", file=folder) from error
        for file in found:
            try:
                texts[str(file.relative_to(folder))] = read_text(file)
            except ConfigError as wrong:
                errors.append(wrong)
        return cls(folder=folder, texts=texts, errors=tuple(errors))

    @property
    def is_empty(self) -> bool:
        """Whether no file lies there at all."""
        return not self.texts and not self.errors

    def documents(self) -> tuple[list[Document], list[ConfigError]]:
        """Return what is YAML, in the order of the names, and what is wrong with the rest."""
        documents: list[Document] = []
        errors = list(self.errors)
        for file in sorted(self.folder / name for name in self.texts):
            try:
                documents.append(parse(self.texts[str(file.relative_to(self.folder))], file))
            except ConfigError as wrong:
                errors.append(wrong)
        return documents, errors


def signature_of(folder: Path) -> Signature:
    """Return what changes whenever a file below ``folder`` does: cheap enough for every other second."""
    try:
        files = [*sorted(folder.rglob(_PATTERN)), *misnamed_below(folder)]
    except OSError:  # the folder goes away at this moment
        return ()
    return tuple((str(file), _state(file)) for file in files)


def _state(file: Path) -> tuple[int, ...]:
    """Return a file's state: its inode and change time tell what keeps size and date, as ``rsync -t`` does."""
    try:
        seen = file.stat()
    except OSError:
        return ()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
