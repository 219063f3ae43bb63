"""Fetching a trusted root by TUF: the one thing in this room that asks a network, for one command.

Source: The Update Framework, section 5; sigstore/root-signing, whose repositories have one such target.
"""

import tempfile
from pathlib import Path
from urllib.parse import quote

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.updater import Updater
from urllib3.exceptions import HTTPError

from regsync import __version__
from regsync.errors import RegsyncError, TemporaryError
from regsync.trust.shipped_roots import TRUSTED_ROOT
from regsync.trust.trusted_root import MAX_SIZE


class MirrorUnreachableError(TemporaryError):
    """A TUF repository did not answer, or not with what was asked for."""

    def __init__(self, mirror: str, cause: Exception) -> None:
        reason = str(cause) or str(cause.__cause__ or type(cause).__name__)
        super().__init__(f"{mirror}: cannot be read: {reason}")


class MirrorRejectedError(RegsyncError):
    """What a TUF repository holds is not signed by whom its root names, is too old or goes backwards."""

    def __init__(self, mirror: str, cause: str) -> None:
        super().__init__(f"{mirror}: not believed: {cause}; nothing was changed")


def fetch_trusted_root(mirror: str, bootstrap: bytes, metadata: Path) -> bytes:
    """The trusted root that the TUF repository at `mirror` publishes now, as it is there.

    `bootstrap` is a root of the repository that is believed, of whatever version. `metadata` is a
    directory that keeps what was seen, so that a mirror cannot go back to something older another time.
    Raises MirrorUnreachableError, MirrorRejectedError, and OSError where `metadata` cannot be written.
    """
    metadata.mkdir(parents=True, exist_ok=True)
    try:
        return _fetch(mirror, bootstrap, metadata)
    except (DownloadError, HTTPError) as cause:
        raise MirrorUnreachableError(mirror, cause) from cause
    except (RepositoryError, ValueError, RecursionError) as cause:
        raise MirrorRejectedError(mirror, f"{type(cause).__name__}: {cause}") from cause


def _fetch(mirror: str, bootstrap: bytes, metadata: Path) -> bytes:
    with tempfile.TemporaryDirectory() as targets:
        updater = Updater(
            str(metadata),
            mirror,
            target_dir=targets,
            target_base_url=f"{mirror}/targets/",
            config=UpdaterConfig(app_user_agent=f"regsync/{__version__}"),
            bootstrap=bootstrap,
        )
        found = updater.get_targetinfo(TRUSTED_ROOT)
        if found is None:
            raise MirrorRejectedError(mirror, f"it has no target {TRUSTED_ROOT}")
        if found.length > MAX_SIZE:
            raise MirrorRejectedError(
                mirror, f"{TRUSTED_ROOT} has {found.length} bytes, at most {MAX_SIZE} are read"
            )
        return Path(updater.download_target(found)).read_bytes()


def metadata_directory(data: Path, mirror: str) -> Path:
    """Where below a directory for data what was seen at `mirror` is kept."""
    return data / "regsync" / "tuf" / quote(mirror, safe="")
