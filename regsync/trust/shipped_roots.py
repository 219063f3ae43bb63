"""What the sigstore package brings along of Sigstore's own instances, read without importing it."""

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

PUBLIC_GOOD = "https://tuf-repo-cdn.sigstore.dev"  # where the instance publishes its roots, by TUF
STAGING = "https://tuf-repo-cdn.sigstage.dev"

TRUSTED_ROOT = "trusted_root.json"
TUF_ROOT = "root.json"


def shipped(instance: str, name: str) -> bytes | None:
    """A file that came with the package for the instance that publishes there; None if there is none."""
    package = find_spec("sigstore")
    for place in (package and package.submodule_search_locations) or ():
        try:
            return (Path(place) / "_store" / quote(instance, safe="") / name).read_bytes()
        except OSError:
            continue
    return None
