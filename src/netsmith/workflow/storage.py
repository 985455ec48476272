"""Where trials are kept: the folder's own file, or a database that many machines share."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from netsmith.errors import FileError, UnknownNameError
from netsmith.optional import require

if TYPE_CHECKING:
    from optuna import Study
    from sqlalchemy.engine import URL

Answer = TypeVar("Answer")

PATIENCE = 120.0
"""Seconds to wait for a database that went away."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0
TOGETHER = (0.2, 0.5, 1.0, 2.0)
HEARTBEAT, GRACE = 30, 120
"""Seconds between the signs of life of a trial, and without one until another machine takes it over."""
DRIVERS = {"postgresql": "psycopg2", "mysql": "MySQLdb", "sqlite": "sqlite3"}
"""The library that opens a database, where the URL does not name another."""


class Storage:
    """One study in a database; every access waits for a database that went away, up to ``patience``.

    Args:
        url: such as ``postgresql://user@host/database``.
        study: its name there; made if it is not there.
        shared: whether several machines work on it; then running trials give signs of life.
        patience: seconds to wait, doubling the pauses from half a second.

    Raises:
        FileError: no database answers there.
    """

    def __init__(self, url: str, study: str, *, shared: bool, patience: float) -> None:
        location = _location(url)
        self.shown = location.render_as_string(hide_password=True)
        self.patience, self._shared = 0.0, shared
        self._running: set[int] = set()
        self._ended = threading.Event()
        self.study: Study = self.ask(lambda: _open(location, study, shared))
        self.patience = patience
        if shared:
            threading.Thread(target=self._beat, daemon=True).start()

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Return the answer to a question to the database, asked again while there is none.

        Raises:
            FileError: there was none for ``patience`` seconds.
        """
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        asked, pause = time.monotonic(), FIRST_WAIT
        while True:
            try:
                with quiet():
                    return question()
            except (StorageInternalError, SQLAlchemyError) as error:
                if time.monotonic() + pause > asked + self.patience:
                    reason = str(error.__cause__ or error).strip().partition("\n")[0]
                    waited = f" for {self.patience:g} seconds" if self.patience else ""
                    raise FileError(
                        f"the storage {self.shown} does not answer{waited} ({reason}); what is finished "
                        "is kept in the folder of the run: go on with --resume when the storage is back"
                    ) from error
            # Not an Event: the pause is for the database alone, whatever else this process does.
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_WAIT)

    def alive(self, trial_id: int) -> None:
        """Give signs of life for a trial from now on."""
        if not self._shared:
            return
        storage: Any = self.study._storage
        self.ask(lambda: storage.record_heartbeat(trial_id))
        self._running.add(trial_id)

    def ended(self, trial_id: int) -> None:
        """Give no more signs of life for a trial."""
        self._running.discard(trial_id)

    def close(self) -> None:
        """Give no more signs of life at all."""
        self._ended.set()

    def _beat(self) -> None:
        storage: Any = self.study._storage
        while not self._ended.is_set():
            for trial_id in list(self._running):
                # A storage that is away is noticed, and waited for, by who asks it something.
                with suppress(Exception):
                    storage.record_heartbeat(trial_id)
            self._ended.wait(HEARTBEAT)


def _location(url: str) -> URL:
    """Return the URL in parts, with its driver, if that is installed."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        raise FileError(
            "cannot read the storage's URL; write for example postgresql://user:password@host/database"
        ) from None
    kind = parsed.get_backend_name()
    if kind not in DRIVERS:
        raise UnknownNameError("kind of storage", kind, DRIVERS)
    if "+" in parsed.drivername:
        return parsed
    driver = DRIVERS[kind]
    require(driver, extra="distributed", what=f"a {kind} storage")
    # The driver taken for PostgreSQL when none is named depends on SQLAlchemy's version.
    return parsed.set(drivername=f"{kind}+{driver}") if kind == "postgresql" else parsed


def _open(location: URL, name: str, shared: bool) -> Study:
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    for pause in TOGETHER:
        try:
            return _study(location, name, shared)
        except SQLAlchemyError as error:
            if isinstance(error, OperationalError):
                raise
            # Machines that open an empty database at the same time all try to make its tables.
            time.sleep(pause)
    return _study(location, name, shared)


def _study(location: URL, name: str, shared: bool) -> Study:
    import optuna

    url = location.render_as_string(hide_password=False)
    beats = {"heartbeat_interval": HEARTBEAT, "grace_period": GRACE} if shared else {}
    # For good, because the list of filters is shared by threads, and only of what is used here on purpose.
    experimental = optuna.exceptions.ExperimentalWarning
    warnings.filterwarnings("ignore", message=".*(heartbeat|fail_stale)", category=experimental)
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed", category=UserWarning)
    # A connection that a restarted server closed is replaced when it is next used.
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True}, **beats)
    return optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's own log for what is worse than an error we report."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
