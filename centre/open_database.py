"""Opens the database of a centre, whichever it is."""

from pathlib import Path

from centre.database import Database, PostgresUrl, is_postgres


def open_database(db: Path | PostgresUrl) -> Database:
    """A file of SQLite, or a server: ``postgresql://user@host/name``. OSError where it can't be opened."""
    if is_postgres(db):
        from centre.postgres_database import PostgresDatabase

        return PostgresDatabase(str(db))
    from centre.sqlite_database import SqliteDatabase

    return SqliteDatabase(Path(db))
