"""What goes wrong with content, whichever place it is in."""

from collections.abc import Iterable

from regsync.errors import RegsyncError, TemporaryError, UnsupportedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform


class ContentError(RegsyncError):
    """Root of errors about one piece of content at one place."""


class ContentNotFoundError(ContentError):
    """The place answered, and the thing is not there."""

    def __init__(self, thing: object, *, where: str) -> None:
        super().__init__(f"{where}: {thing} not found")
        self.thing, self.where = thing, where


class RepositoryNotFoundError(ContentNotFoundError):
    """The place answered, and all of the repository is not there, or is hidden from who asks."""

    usual_hint = "check the repository's name, and whether these credentials may read it"

    def __init__(self, *, where: str) -> None:
        super().__init__("repository", where=where)
        self.args = (f"{where}: there is no such repository, or these credentials may not see it",)


class DigestMismatchError(ContentError):
    """The bytes are not those that the digest names: a lying source, or bit rot."""

    usual_hint = "the place that gave the bytes is damaged, or something on the way changed them"

    def __init__(self, expected: Digest, actual: Digest, *, where: str) -> None:
        super().__init__(f"{where}: expected {expected}, received {actual}")
        self.expected, self.actual, self.where = expected, actual, where


class SizeMismatchError(ContentError):
    """The length is not what the descriptor says."""

    usual_hint = "the image was made wrongly, or the place that gave it is damaged"

    def __init__(self, expected: Descriptor, actual: int, *, where: str) -> None:
        super().__init__(
            f"{where}: {expected.digest} has {actual} bytes, its descriptor says {expected.size}"
        )
        self.expected, self.actual, self.where = expected, actual, where


class ContentTooLargeError(ContentError):
    """Longer than what is read of its kind."""

    def __init__(self, thing: object, limit: int, *, where: str) -> None:
        super().__init__(f"{where}: {thing} is longer than {limit} bytes, the most that is read")
        self.limit, self.where = limit, where


class BoundHitError(ContentError):
    """Not read, since it is more than is read of its kind: whether there is any is not known."""

    usual_hint = "remove evidence that nobody needs any more, or raise the bound"

    def __init__(self, what: object, bound: str, *, where: str) -> None:
        super().__init__(f"{where}: {what}: {bound}")
        self.bound, self.where = bound, where


class OtherSubjectError(ContentError):
    """A manifest is listed beside one that it does not name as its subject: a wrong list, or a lie."""

    def __init__(self, digest: Digest, subject: Digest | None, named: Digest | None, *, where: str) -> None:
        of, names = subject or "an image", f"{named} instead" if named is not None else "no subject"
        super().__init__(f"{where}: {digest} is listed as evidence of {of}, and names {names}")
        self.subject, self.named = subject, named


class GraphTooDeepError(ContentError):
    """Indexes in indexes beyond reason, or one that contains itself."""

    def __init__(self, root: Digest, limit: int, *, where: str) -> None:
        super().__init__(f"{where}: indexes under {root} are nested deeper than {limit} levels")


class GraphTooLargeError(ContentError):
    """More manifests under one than any image has."""

    def __init__(self, root: Digest, limit: str, *, where: str) -> None:
        super().__init__(f"{where}: there are more than {limit} under {root}, the most that is read")


class ForeignLayerError(ContentError, UnsupportedError):
    """A layer that its type or its URLs say is not in the registry."""

    usual_hint = "leave the tag out with excludeTags, or build the image without such layers"

    def __init__(self, desc: Descriptor, *, where: str) -> None:
        super().__init__(
            f"{where}: layer {desc.digest} is foreign ({desc.media_type}); regsync does not carry such layers"
        )


class IndexNotCompleteError(ContentError, UnsupportedError):
    """The place takes no index of which it does not hold every child."""

    def __init__(self, index: Digest, absent: int, *, where: str) -> None:
        super().__init__(
            f"{where}: it takes index {index} only with all its children, and {absent} of them are left out "
            "by `platforms`"
        )

    @property
    def hint(self) -> str:
        """What to do next."""
        return "write `platforms` as a list, for a valid index of those platforms, or mirror all of them"


class InterruptedStreamError(ContentError, TemporaryError):
    """A body ended early; what came before it was good."""

    def __init__(self, desc: Descriptor, received: int, *, where: str) -> None:
        super().__init__(f"{where}: {desc.digest} ended after {received} of {desc.size} bytes")
        self.received, self.where = received, where


class NoPlatformError(ContentError):
    """None of the wanted platforms is in the index, or the image is for another."""

    usual_hint = "correct the mirror's `platforms`, or leave the tag out"

    def __init__(
        self, digest: Digest, wanted: Iterable[Platform], found: Iterable[Platform] = (), *, where: str
    ) -> None:
        there = ", ".join(sorted(map(str, found)))
        has = f"it has {there}" if there else "it is an image for another"
        super().__init__(f"{where}: {digest} is for none of {', '.join(map(str, wanted))}; {has}")
