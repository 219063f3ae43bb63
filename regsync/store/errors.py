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


class StoreTooNewError(StoreError):
    """A later version of regsync has written the store."""

    usual_hint = "use the version of regsync that wrote it, or a later one"

    def __init__(self, store: str, revision: str, known: str) -> None:
        super().__init__(
            store, f"its schema has revision {revision[:40]}, this regsync knows revisions up to {known}"
        )
        self.revision = revision


class NetworkFileSystemError(StoreError):
    """The store lies on a file system whose locks do not hold across machines."""

    usual_hint = "put the store on a local disk; for several machines use a PostgreSQL catalogue"

    def __init__(self, store: str, kind: str, mount_point: str) -> None:
        super().__init__(store, f"{mount_point} is a network file system ({kind}), where SQLite loses data")
        self.kind = kind
