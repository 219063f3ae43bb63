"""Where each locked image is at one registry, for those who deploy from there: `lock --export`.

Digests are those that targets have, so that what was trimmed can be pulled too. Sources of the formats:
kustomize, "images" of a kustomization; imgpkg, "ImagesLock" v1alpha1.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from regsync.errors import RegsyncError, UsageError
from regsync.oci.digest import Digest
from regsync.oci.reference import DOCKER_HUB, Tag
from regsync.spec.lock import LockEntry, source_name
from regsync.spec.locked import bound, entries_of, locked_units, trims
from regsync.spec.model import Location, RemotePlace, Spec, Unit
from regsync.spec.problems import nearest
from regsync.spec.renaming import parse_template

_HUB = f"{DOCKER_HUB}/"
_OFFICIAL = f"{_HUB}library/"


class Format(Enum):
    """What `--export` writes."""

    LIST = "list"
    KUSTOMIZE = "kustomize"
    IMAGES_LOCK = "imageslock"


class NoSuchTargetError(UsageError):
    """`--target` names nothing that images are pulled from."""

    def __init__(self, name: str, cause: str, near: str | None = None) -> None:
        super().__init__(f"--target {name[:80]!r}: {cause}")
        self._near = near

    @property
    def hint(self) -> str | None:
        """What was probably meant."""
        return f"did you mean {self._near}?" if self._near else None


class UnknownDigestError(RegsyncError):
    """An entry does not say what its image is on targets, which have a trimmed index."""

    usual_hint = "`regsync lock` computes it afresh"

    def __init__(self, entry: LockEntry) -> None:
        super().__init__(f"{entry.position}: {entry.image}: the digest of its trimmed index is not known")


@dataclass(frozen=True, slots=True, order=True)
class Exported:
    """One image, where it comes from and where it is."""

    source: str  # a full reference, without its digest where it has a tag
    repository: str  # at the target: host and path
    tag: Tag | None
    digest: Digest

    @property
    def image(self) -> str:
        """The full reference to pull, with its digest."""
        return f"{self.repository}:{self.tag}@{self.digest}" if self.tag is not None else self.pinned

    @property
    def pinned(self) -> str:
        """The same by digest alone."""
        return f"{self.repository}@{self.digest}"


def exported(spec: Spec, target: str, *, now: datetime) -> tuple[Exported, ...]:
    """What the lock files bring to one registry; raises NoSuchTargetError, UnknownDigestError.

    `spec` is one of `locked_spec`. What no rule could choose any more is left out, and so is a name at the
    target that has a date in it, which only a ledger knows.
    """
    _check(spec, target)
    found: set[Exported] = set()
    for mirror in spec.mirrors:
        for unit in locked_units(spec, mirror):
            for location in unit.targets:
                if location.registry == target:
                    found.update(_of_unit(spec, unit, location, now))
    return tuple(sorted(found, key=lambda one: (one.source, one.image)))


def render(images: Sequence[Exported], wanted: Format) -> Iterator[str]:
    """The images in a format, line by line."""
    match wanted:
        case Format.LIST:
            return (f"{one.image}\n" for one in images)
        case Format.KUSTOMIZE:
            return _kustomize(images)
        case Format.IMAGES_LOCK:
            return _images_lock(images)


def _check(spec: Spec, target: str) -> None:
    written = {template.registry for mirror in spec.mirrors for template in mirror.targets}
    if target not in written:
        raise NoSuchTargetError(target, "no mirror writes there", nearest(target, written))
    if not isinstance(spec.registries[target].place, RemotePlace):
        raise NoSuchTargetError(target, "it is no registry that images are pulled from")


def _of_unit(spec: Spec, unit: Unit, location: Location, now: datetime) -> Iterator[Exported]:
    place = source_name(spec.registries, location).removeprefix("http://")
    named, problems, _ = bound(spec, unit, first_seen=lambda _: now, now=now)
    if problems:
        raise problems[0]
    is_dated = "date" in parse_template(unit.rename).fields
    tags = {one.source_tag: None if is_dated else one.tag for one in named.locked}
    for entry in entries_of(spec, unit):
        if entry.tag is None or entry.tag in tags:
            tag = tags[entry.tag] if entry.tag is not None else None
            source = entry.name.removeprefix("http://")
            yield Exported(source, place, tag, _at_target(unit, entry))


def _at_target(unit: Unit, entry: LockEntry) -> Digest:
    if trims(unit) and entry.trimmed is None:
        raise UnknownDigestError(entry)
    return entry.trimmed or entry.digest


def _kustomize(images: Sequence[Exported]) -> Iterator[str]:
    """A component: kustomize compares whole names, so each tag has an entry, under every way to write it."""
    yield "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    yield "images:\n" if images else "images: []\n"
    shown: set[str] = set()
    for one in images:
        for name in _ways_to_write(one.source):
            if name not in shown:
                shown.add(name)
                yield f"- name: {json.dumps(name)}\n  newName: {json.dumps(one.repository)}\n"
                yield f"  digest: {one.digest}\n"


def _ways_to_write(source: str) -> Iterator[str]:
    yield source
    if source.startswith(_HUB):
        yield source.removeprefix(_HUB)
    if source.startswith(_OFFICIAL):
        yield source.removeprefix(_OFFICIAL)
        yield _HUB + source.removeprefix(_OFFICIAL)


def _images_lock(images: Sequence[Exported]) -> Iterator[str]:
    yield "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
    yield "images:\n" if images else "images: []\n"
    for one in images:
        yield f"- image: {json.dumps(one.pinned)}\n"
        yield f"  annotations:\n    kbld.carvel.dev/id: {json.dumps(one.source)}\n"
