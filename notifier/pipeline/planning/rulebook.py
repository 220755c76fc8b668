"""Decide which rules this process runs: those of its files while they are right, else the last good ones.

Looks at the files, reads them, and keeps good ones in the database. Nothing wrong ever replaces what runs.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import orjson
import psycopg

from notifier.clock import Clock
from notifier.crypto import Keyring
from notifier.documents import ConfigErrors
from notifier.errors import ConfigError, NotifierError
from notifier.logs import get_logger
from notifier.rules.files import RuleFiles, Signature, signature_of
from notifier.rules.ruleset import RuleSet
from notifier.store.database import Connection, Database, DatabaseUnavailable
from notifier.store.rule_sets import KeptRules, Standing, keep_rules, kept_rules, leave, stand

log = get_logger("rules")

_AAD = b"rules"
_NOTE_SECONDS = 10.0
"""Who is silent for three times as long counts as ended."""
_TOLD = 20
"""So many errors are told at once; the check of the configuration tells all."""
_HINT = "see all with `notifier config check`; types, lists and templates that are new need a restart first"


class Rulebook:
    """The rules of one process, and how they came to be.

    Args:
        folder: Where the files lie.
        compile_rules: Checks and compiles them, against what this process knows of types, lists and templates.
        process: This process's kind; host and number are added.
    """

    def __init__(
        self,
        *,
        folder: Path,
        compile_rules: Callable[[RuleFiles], RuleSet],
        database: Database,
        keyring: Keyring,
        clock: Clock,
        process: str,
    ) -> None:
        self._folder, self._compile = folder, compile_rules
        self._database, self._keyring, self._clock = database, keyring, clock
        self._process = f"{process}@{socket.gethostname()}:{os.getpid()}"
        self._seen: Signature = ()
        self._judged: Signature = ()
        self._files, self._hash = RuleFiles(folder=folder, texts={}), ""
        self._refused_at: datetime | None = None
        self._places: tuple[str, ...] = ()
        self._is_kept, self._note_at, self._is_mute = False, 0.0, False

    def begin(self) -> RuleSet:
        """Return the rules to start with: the files', or, where these are wrong, those adopted last.

        Raises:
            ConfigError: the files are wrong, and no other rules are known, or are of use any more.
            DatabaseUnavailable: nobody can say which were adopted last.
        """
        self._seen = self._judged = signature_of(self._folder)
        kept = self._kept()
        try:
            files = RuleFiles.read(self._folder)
            before = self._open(kept) if kept is not None and files.is_empty else None
            rules = self._read(files, before)
        except ConfigError as wrong:
            if kept is None:
                raise
            files = self._open(kept)
            rules = self._last_good(files, wrong)
            self._is_kept = True
            self._refuse(wrong, running=rules.rules_hash, is_start=True)
        else:
            log.info("rules.adopted", before=kept.hash if kept else None, after=rules.rules_hash)
        self._files, self._hash = files, rules.rules_hash
        return rules

    def look(self, adopt: Callable[[RuleSet], None]) -> None:
        """Let good new rules be adopted; tell what is wrong, once, and go on with what runs.

        A file may be written at this very moment: only what is as it was at the last look is read.
        """
        before, self._seen = self._seen, signature_of(self._folder)
        if self._seen == self._judged or self._seen != before:
            return
        try:
            files = RuleFiles.read(self._folder)
            if signature_of(self._folder) != self._seen:
                return
            rules = self._read(files, self._files)
        except ConfigError as wrong:
            self._judged = self._seen
            self._refuse(wrong, running=self._hash)
            return
        self._judged = self._seen
        self._take(files, rules, adopt)

    def note(self) -> None:
        """Tell the database what is new, or that this process lives; where it is away, at a later look."""
        if self._is_kept and time.monotonic() < self._note_at:
            return
        if self._tell(self._write):
            self._is_kept, self._note_at = True, time.monotonic() + _NOTE_SECONDS

    def end(self) -> None:
        """Tell the database that this process ends."""
        self._tell(lambda connection: leave(connection, self._process))

    def _read(self, files: RuleFiles, before: RuleFiles | None) -> RuleSet:
        """Compile files; what was read ``before`` is not replaced by nothing at all."""
        if files.is_empty and before is not None and not before.is_empty:
            raise ConfigError(
                "no *.yaml file lies there any more",
                file=self._folder,
                mend="to have no rules, keep a file that says `rules: []`",
            )
        try:
            return self._compile(files)
        except NotifierError:
            raise
        except Exception as error:
            # Whatever a file does to the reader, it is the file's fault and not the running rules'.
            raise ConfigError(f"cannot be read: {type(error).__name__}", file=self._folder) from error

    def _last_good(self, files: RuleFiles, wrong: ConfigError) -> RuleSet:
        try:
            return self._read(files, None)
        except ConfigError as useless:
            # Another release, catalogue or lists: what is wrong with the files is the thing to mend.
            log.warning("rules.outdated", errors=_told(useless))
            raise wrong from useless

    def _take(self, files: RuleFiles, rules: RuleSet, adopt: Callable[[RuleSet], None]) -> None:
        if rules.rules_hash != self._hash:
            adopt(rules)
            log.info("rules.adopted", before=self._hash, after=rules.rules_hash)
        elif self._refused_at is not None:
            log.info("rules.mended", hash=self._hash)
        self._files, self._hash = files, rules.rules_hash
        self._refused_at, self._places, self._is_kept = None, (), False

    def _refuse(self, wrong: ConfigError, *, running: str, is_start: bool = False) -> None:
        tell = log.critical if is_start else log.error
        tell("rules.refused", running=running, count=len(_errors(wrong)), errors=_told(wrong), hint=_HINT)
        self._refused_at = self._clock.now()
        self._places = tuple(self._place(error) for error in _errors(wrong)[:_TOLD])
        self._note_at = 0.0

    def _place(self, error: ConfigError) -> str:
        file = Path(error.file or self._folder)
        name = file.relative_to(self._folder) if file.is_relative_to(self._folder) else file
        return f"{name}:{error.line}" if error.line else str(name)

    def _kept(self) -> KeptRules | None:
        try:
            with self._database.connection() as connection:
                return kept_rules(connection)
        except psycopg.errors.UndefinedTable as error:
            raise DatabaseUnavailable("the tables are another release's: run `notifier migrate`") from error

    def _open(self, kept: KeptRules) -> RuleFiles:
        texts = orjson.loads(self._keyring.open_data_key(kept.data_key).unseal(kept.sealed, _AAD))
        return RuleFiles(folder=self._folder, texts=texts)

    def _write(self, connection: Connection) -> None:
        if not self._is_kept:
            key = self._keyring.new_data_key()
            sealed = key.seal(orjson.dumps(dict(self._files.texts)), _AAD)
            keep_rules(connection, KeptRules(hash=self._hash, data_key=key.wrapped, sealed=sealed))
        stand(
            connection,
            Standing(
                process=self._process, hash=self._hash, refused_at=self._refused_at, places=self._places
            ),
        )

    def _tell(self, write: Callable[[Connection], None]) -> bool:
        """Write to the database, or say once that it cannot be."""
        try:
            with self._database.transaction() as connection:
                write(connection)
        except (DatabaseUnavailable, psycopg.Error) as error:
            if not self._is_mute:
                log.warning("rules.unnoted", error=type(error).__name__)
            self._is_mute = True
            return False
        self._is_mute = False
        return True


def _errors(wrong: ConfigError) -> Sequence[ConfigError]:
    return wrong.errors if isinstance(wrong, ConfigErrors) else (wrong,)


def _told(wrong: ConfigError) -> list[Mapping[str, str | int | None]]:
    return [
        {
            "file": str(one.file) if one.file else None, "line": one.line, "field": one.field,
            "problem": one.problem, "mend": one.mend,
        }
        for one in _errors(wrong)[:_TOLD]
    ]  # fmt: skip
