"""All the YAML files of a folder, and those in it that are meant to be read and never are.

Reads names and order; each file is read by ``reading``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from notifier.documents.document import ConfigErrors, Document
from notifier.documents.reading import load
from notifier.errors import ConfigError


class Documents:
    """All the YAML files of a folder, read in the order of their names."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = tuple(documents)

    def __iter__(self) -> Iterator[Document]:
        return iter(self._documents)

    @classmethod
    def of(cls, folder: Path) -> "Documents":
        """Read every ``*.yaml`` below ``folder``.

        Raises:
            ConfigError: the folder is missing, or a file is not YAML.
        """
        documents, errors = cls.readable(folder)
        if errors:
            raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
        return documents

    @classmethod
    def readable(cls, folder: Path) -> tuple["Documents", list[ConfigError]]:
        """Read what can be read below ``folder``, and return what is wrong with the other files.

        Raises:
            ConfigError: the folder is missing.
        """
        if not folder.is_dir():
            raise ConfigError("the folder does not exist", file=folder, mend="create it, or set the path")
        documents: list[Document] = []
        errors: list[ConfigError] = []
        for file in sorted(folder.rglob("*.yaml")):
            try:
                documents.append(load(file))
            except ConfigError as wrong:
                errors.append(wrong)
        return cls(documents), [*errors, *(misnamed(file) for file in misnamed_below(folder))]


def misnamed_below(folder: Path) -> list[Path]:
    """Return the files that are meant to be read and never are: ``.yml``, ``.YAML``."""
    names = (file for file in folder.rglob("*") if file.suffix.lower() in {".yml", ".yaml"})
    return sorted(file for file in names if file.suffix != ".yaml" and not file.is_dir())


def misnamed(file: Path) -> ConfigError:
    """Return the error for a file of ``misnamed_below``."""
    mend = f"name it {file.stem}.yaml, or take it away"
    return ConfigError("is not read: only *.yaml is", file=file, mend=mend)
