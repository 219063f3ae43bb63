"""What `regsync copy` did, as text and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.plan.document import API_VERSION, encode
from regsync.report.escape import message, visible
from regsync.report.units import counted, human_bytes


class Copied(Protocol):
    """What a copy has to say of itself; `reconcile.copy_image` makes it."""

    @property
    def digest(self) -> Digest:
        """The image's digest on the target."""
        ...

    @property
    def copied(self) -> int:
        """Bytes sent."""
        ...

    @property
    def reused(self) -> int:
        """Bytes that were there, or mounted."""
        ...

    @property
    def evidence(self) -> int:
        """Referrers and digest tags brought."""
        ...

    @property
    def refused(self) -> Sequence[RegsyncError]:
        """Evidence that the target did not take, each with the reason."""
        ...


def as_text(source: str, target: str, report: Copied) -> Iterator[str]:
    """Lines for people."""
    parts = [f"{human_bytes(report.copied)} copied"]
    if report.reused:
        parts.append(f"{human_bytes(report.reused)} reused")
    if report.evidence:
        parts.append(counted(report.evidence, "referrer or digest tag", "referrers and digest tags"))
    yield f"{visible(source)} → {visible(target)}\n"
    yield f"  {report.digest}\n"
    for refusal in report.refused:
        yield f"  degraded: {message(str(refusal))}\n"
    yield f"Done: {', '.join(parts)}.\n"


def as_json(source: str, target: str, report: Copied) -> Iterator[str]:
    """The document; sizes in bytes."""
    return encode(
        {
            "apiVersion": API_VERSION,
            "kind": "CopyReport",
            "source": source,
            "target": target,
            "digest": str(report.digest),
            "bytes": {"copied": report.copied, "reused": report.reused},
            "evidence": report.evidence,
            "refused": [str(refusal) for refusal in report.refused],
        }
    )
