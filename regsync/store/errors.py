"""What goes wrong with the built-in store as a whole; what its disk says is a StorageError of `content`."""

from regsync.errors import RegsyncError, TemporaryError


class StoreError(RegsyncError):
    """Root of errors about one built-in store; names its directory."""

    def __init__(self, store: str, cause: str) -> None:
        super().__init__(f"store {store}: {cause}")
        self.store = store


class StoreBusyError(StoreError, TemporaryError):
    """Another process has held the catalogue's write lock for long."""

    usual_hint = "another process is writing to the store; run again when it is done"


class StoreDamagedError(StoreError):
    """The catalogue is no database, or a damaged one."""

    usual_hint = "keep the directory as it is: blobs and journal hold what `regsync store rebuild` needs"


class StoreInUseError(StoreError, TemporaryError):
    """The catalogue cannot be replaced while somebody works with it."""

    usual_hint = "stop the servers and runs that have the store open, then run again"

    def __init__(self, store: str) -> None:
        super().__init__(store, "another process has it open")


class StoreRebuildingError(StoreError, TemporaryError):
    """The catalogue is being restored at the moment."""

    usual_hint = "wait until `regsync store rebuild` is done, then run again"

    def __init__(self, store: str) -> None:
        super().__init__(store, "its catalogue is being rebuilt")


class CatalogueLostError(StoreError):
    """There is a journal, and no catalogue; a new one would begin a new history over the old one."""

    usual_hint = "run `regsync store rebuild`: blobs and journal hold what it needs"

    def __init__(self, store: str) -> None:
        super().__init__(store, "its catalogue is gone, its journal is there")


class CatalogueOlderError(StoreError):
    """The journal has history that the catalogue does not know: it was restored from a backup."""

    usual_hint = "run `regsync store rebuild`, which brings the catalogue up to its journal"

    def __init__(self, store: str) -> None:
        super().__init__(store, "its catalogue is older than its journal")


class StoreTooNewError(StoreError):
    """A later version of regsync has written the store."""

    usual_hint = "use the version of regsync that wrote it, or a later one"

    def __init__(self, store: str, revision: str, known: str) -> None:
        super().__init__(
            store, f"its schema has revision {revision[:40]}, this regsync knows revisions up to {known}"
        )
        self.revision = revision


class NothingToRebuildError(StoreError):
    """There is nothing that a catalogue could be made of."""

    usual_hint = "name the store's directory; if this is it, restore it from a backup"


class JournalTooNewError(StoreError):
    """A later version of regsync has written the journal."""

    usual_hint = "use the version of regsync that wrote it, or a later one"

    def __init__(self, store: str, operation: str) -> None:
        super().__init__(
            store, f"its journal has an operation that this regsync does not know: {operation:.40}"
        )


class StoreOlderError(StoreError):
    """An earlier version of regsync has written the store, and it was opened only to look."""

    usual_hint = "run `regsync store stats` once: it brings the store to today's schema"

    def __init__(self, store: str) -> None:
        super().__init__(store, "its schema is older, and nothing may be changed now")


class NetworkFileSystemError(StoreError):
    """The store lies on a file system whose locks do not hold across machines."""

    usual_hint = "put the store on a local disk; for several machines use a PostgreSQL catalogue"

    def __init__(self, store: str, kind: str, mount_point: str) -> None:
        super().__init__(store, f"{mount_point} is a network file system ({kind}), where SQLite loses data")
        self.kind = kind
