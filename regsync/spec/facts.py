"""What registries tell of a tag's content, as far as selection needs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from regsync.oci.digest import Digest

CREATED_ANNOTATION = "org.opencontainers.image.created"
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # reproducible builds write 1970 or 1980: no age at all


@dataclass(frozen=True, slots=True)
class TagFacts:
    """What is known of the content behind one tag."""

    digest: Digest
    first_seen: datetime  # when regsync first saw the digest, aware
    created: datetime | None = None  # of the image's config
    labels: Mapping[str, str] = field(default_factory=dict)  # of the image's config
    annotations: Mapping[str, str] = field(default_factory=dict)  # of the manifest or index

    @property
    def age_counts_from(self) -> datetime:
        """`created`, else the annotation, else first sight; the first two only from 1990 on."""
        for moment in (self.created, parse_timestamp(self.annotations.get(CREATED_ANNOTATION))):
            if moment is not None and moment >= EARLIEST:
                return moment
        return self.first_seen

    def label(self, key: str) -> tuple[str, ...]:
        """The values under `key`: the image's label and the manifest's annotation, where they are."""
        return tuple(holder[key] for holder in (self.labels, self.annotations) if key in holder)


def parse_timestamp(text: str | None) -> datetime | None:
    """Read RFC 3339 as registries hold it; None for what is absent or no date. Without a zone it is UTC."""
    if text is None or len(text) > 64:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
