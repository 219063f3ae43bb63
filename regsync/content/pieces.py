"""Evidence as it lies in a repository: a manifest beside its subject, and the layers that were read."""

from collections.abc import Mapping
from dataclasses import dataclass

from regsync.content.errors import BoundHitError, ContentError, ContentNotFoundError
from regsync.errors import RegsyncError, TemporaryError, UnsupportedError
from regsync.oci.digest import Digest
from regsync.oci.manifest import InvalidManifestError, Manifest


@dataclass(frozen=True, slots=True)
class Piece:
    """One manifest with evidence, and where it was found.

    `layers` has the verified bytes of each layer whose media type was wanted, or why it could not be
    read; `failed` is set, and `manifest` None, where the manifest itself could not.
    """

    digest: Digest  # of the manifest
    subject: Digest  # beside which it was found
    repository: str
    location: str  # referrers | fallback-tag | tag:.sig | tag:.att | tag:.sbom | index
    manifest: Manifest | None
    layers: Mapping[Digest, bytes | RegsyncError]
    failed: RegsyncError | None = None

    @property
    def troubles(self) -> tuple[RegsyncError, ...]:
        """Why parts of it could not be read."""
        layers = tuple(one for one in self.layers.values() if isinstance(one, RegsyncError))
        return layers if self.failed is None else (self.failed, *layers)

    @property
    def withheld(self) -> tuple[RegsyncError, ...]:
        """Those troubles that leave open what it says: not that it is gone, or there and no good."""
        return tuple(
            one
            for one in self.troubles
            if isinstance(one, TemporaryError | BoundHitError)
            or not isinstance(one, ContentError | InvalidManifestError)
        )


@dataclass(frozen=True, slots=True)
class Looked:
    """One place where evidence of a subject was looked for. `problem` is why not, or not all of it."""

    subject: Digest
    repository: str
    location: str
    found: int
    problem: RegsyncError | None = None

    @property
    def is_open(self) -> bool:
        """Whether there may be more than was found: it could not be asked, which is not "none there"."""
        problem = self.problem
        return problem is not None and not isinstance(problem, ContentNotFoundError | UnsupportedError)
