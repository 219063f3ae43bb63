"""What an image is made of, as a person wants to see it: values only, read by `reconcile.inspect_image`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag


@dataclass(frozen=True, slots=True)
class Attached:
    """What belongs to one manifest without being below it."""

    referrers: tuple["Referrer", ...] = ()
    digest_tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest that refers to another, and what refers to it in turn."""

    descriptor: Descriptor
    attached: Attached = Attached()


@dataclass(frozen=True, slots=True)
class Part:
    """One manifest of an image, or an index in its index.

    `size` counts its own distinct bytes: manifest, config and layers.
    """

    descriptor: Descriptor
    platform: Platform | None
    layers: int
    size: int  # bytes
    artifact_type: str | None = None
    attached: Attached = Attached()  # of an image's only manifest this stands at the image


@dataclass(frozen=True, slots=True)
class Inspection:
    """An image as a person wants to see it."""

    reference: str
    descriptor: Descriptor
    kind: str  # image | index | artifact
    size: int  # distinct bytes of everything below
    parts: tuple[Part, ...]  # of an index its manifests, else the manifest itself
    missing: tuple[Descriptor, ...]  # manifests that the index lists and the place does not hold
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)  # of a single image
    created: str | None = None  # of a single image, as its config says it
    subject: Digest | None = None
    attached: Attached = Attached()
    unasked: int = 0  # manifests whose referrers were not asked for, beyond the bounds
