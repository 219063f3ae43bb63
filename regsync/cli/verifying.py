"""The body of `regsync verify`: references and policies of a spec brought together."""

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial, reduce
from pathlib import Path

from regsync.cli import images
from regsync.cli.exit_codes import DONE, FAILED, REFUSED, TEMPORARY, code_of, worse
from regsync.cli.failures import note
from regsync.cli.options import manner
from regsync.cli.places import SpecPlaces
from regsync.cli.policies import understood
from regsync.cli.references import ImageReference
from regsync.cli.signals import Stop, run_until_signal
from regsync.cli.story import told
from regsync.clock import Clock, SystemClock
from regsync.content.evidence import Shelf
from regsync.content.layout import LayoutRepository
from regsync.content.protocol import Store
from regsync.errors import RegsyncError, UsageError
from regsync.oci.digest import Digest
from regsync.oci.reference import InvalidReferenceError, RepositoryName, Tag
from regsync.reconcile.events import Emit
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.verify_image import verify_image
from regsync.report.verdicts import Verified
from regsync.spec.applying import host_of, policies_for, skip_of
from regsync.spec.load import load
from regsync.spec.model import LayoutPlace, Location, Place, Registry, RemotePlace, Spec, StorePlace
from regsync.spec.problems import nearest
from regsync.spec.verification import Skip, VerificationPolicy
from regsync.store.place import is_store
from regsync.trust.envelopes import Image
from regsync.trust.inquiry import Answer
from regsync.trust.policy import CompiledPolicy
from regsync.trust.verdict import Result

FEW_IMAGES = 3  # of one repository; for more its tags are listed, which spares asking for digest tags


class NoPolicyError(UsageError):
    """No policy is named, and none applies: an image would seem verified that nobody looked at."""

    def __init__(self, reference: str, known: Sequence[str]) -> None:
        super().__init__(f"{reference}: no policy applies to it by its `images` or `targets`")
        self._known = known

    @property
    def hint(self) -> str:
        """What to do next."""
        if not self._known:
            return "the spec declares no VerificationPolicy; docs/signing.md shows how to write one"
        return f"name one with --policy; there are {', '.join(self._known)}"


class NoSuchPolicyError(UsageError):
    """`--policy` names what the spec does not declare."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no policy is named {name[:80]!r}")
        self._near = nearest(name, known)

    @property
    def hint(self) -> str | None:
        """What to do next."""
        return f"did you mean {self._near}?" if self._near else None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A reference, where it is in the words of the spec, and who is asked about it."""

    image: ImageReference
    location: Location
    policies: tuple[CompiledPolicy, ...]


def verify(
    references: Sequence[str], paths: Sequence[Path], names: Sequence[str]
) -> tuple[list[Verified], int]:
    """Ask, and give what was said with the exit code. Raises UsageError and SpecError before any request."""
    spec = load(paths)
    spec, located = _located(spec, references)
    wanted = _wanted(spec, located, names)
    clock = SystemClock()

    async def body(_: Stop) -> tuple[list[Verified], int]:
        return await _verify(spec, wanted, clock, emit)

    with told(manner(), clock) as emit:
        result, _ = run_until_signal(body)
    return result


def _located(spec: Spec, references: Sequence[str]) -> tuple[Spec, list[tuple[ImageReference, Location]]]:
    """References in the words of the spec, which gets a Registry for each place that it does not have."""
    registries = dict(spec.registries)
    found = []
    for text in references:
        image, name = _parsed(text, registries)
        if name is None:
            name = _registry_of(image.place, registries)
        found.append((image, Location(name, _repository(image))))
    return replace(spec, registries=registries), found


def _parsed(text: str, registries: dict[str, Registry]) -> tuple[ImageReference, str | None]:
    """A reference, and the Registry that it names, if it does not name a host."""
    first, slash, rest = text.partition("/")
    if not slash or first not in registries:
        return images.reference(text), None
    registry = registries[first]
    image = images.reference(f"localhost/{rest}")  # a host, for the grammar alone
    place: Place = registry.place
    if isinstance(place, LayoutPlace):
        place = LayoutPlace(place.path / str(image.repository))
    return replace(image, text=text, place=place), first


def _registry_of(place: Place, registries: dict[str, Registry]) -> str:
    """The Registry whose credentials a reference uses: the one of that place, else one made for it."""
    if isinstance(place, LayoutPlace):
        place = LayoutPlace(place.path.parent)
    for registry in registries.values():
        if registry.place.key == place.key:
            return registry.name
    name = images.place_name(place)
    registries[name] = Registry(name, place)
    return name


def _repository(image: ImageReference) -> RepositoryName:
    if image.repository is not None:
        return image.repository
    assert isinstance(image.place, LayoutPlace)  # noqa: S101 - all others have one
    try:
        return RepositoryName.parse(image.place.path.name)
    except InvalidReferenceError:
        return RepositoryName.parse("image")  # only layouts below a Registry are ever spoken of by globs


def _wanted(
    spec: Spec, located: Sequence[tuple[ImageReference, Location]], names: Sequence[str]
) -> list[_Wanted]:
    known = sorted(spec.policies)
    for name in names:
        if name not in spec.policies:
            raise NoSuchPolicyError(name, known)
    compiled = understood(spec)
    wanted = []
    for image, location in located:
        chosen = names or [one.name for one in policies_for(spec, (location,), location)]
        if not chosen:
            raise NoPolicyError(image.text, known)
        wanted.append(_Wanted(image, location, tuple(compiled[name] for name in dict.fromkeys(chosen))))
    return wanted


async def _verify(
    spec: Spec, wanted: Sequence[_Wanted], clock: Clock, emit: Emit
) -> tuple[list[Verified], int]:
    async with AsyncExitStack() as stack:
        stores = _stores(spec, wanted)
        places = await stack.enter_async_context(SpecPlaces.open(spec, clock, MemoryLedger(), stores, emit))
        counts = Counter(one.location for one in wanted)
        shelves: dict[Location, Shelf] = {}
        found, code, now = [], DONE, clock.now()
        for one in wanted:
            store = _open(places, one)
            try:
                if counts[one.location] > FEW_IMAGES and one.location not in shelves:
                    shelves[one.location] = await Shelf.listing(store)
                name = await images.only_tag(one.image, store)
                digest, answers = await verify_image(
                    shelves.get(one.location) or Shelf(store, None),
                    name,
                    one.policies,
                    image=partial(_image, spec, one, name),
                    elsewhere=lambda location: Shelf(places.connect(location), None),
                    skip_of=partial(_skip_of, spec, one.location, now),
                    now=now,
                )
            except RegsyncError as error:
                if len(wanted) == 1:
                    raise
                note("error", f"{one.image.text}: {error}", manner())
                code = worse(code, code_of(error))
                continue
            found.append(Verified(one.image.text, digest, tuple(answer.verdict for answer in answers)))
            code = reduce(worse, map(_code, answers), code)
    return found, code


def _stores(spec: Spec, wanted: Sequence[_Wanted]) -> list[Path]:
    """The built-in stores that are looked into. Raises NoSuchStoreError."""
    named = {one.location.registry for one in wanted}
    asked = (policy.policy for one in wanted for policy in one.policies)
    named |= {location.registry for policy in asked for location in policy.evidence}
    paths = []
    for name in sorted(named):
        place = spec.registries[name].place
        if isinstance(place, StorePlace):
            if not is_store(place.path):
                raise images.NoSuchStoreError(place.path)
            paths.append(place.path)
    return paths


def _open(places: SpecPlaces, wanted: _Wanted) -> Store:
    if isinstance(wanted.image.place, LayoutPlace):
        return LayoutRepository(wanted.image.place.path)
    return places.connect(wanted.location)


def _image(spec: Spec, wanted: _Wanted, name: Tag | Digest, digest: Digest) -> Image:
    place = spec.place(wanted.location)
    host = host_of(place) if isinstance(place, RemotePlace) else None
    tag = wanted.image.tag if isinstance(name, Digest) else name
    return Image(wanted.location.registry, wanted.location.repository, tag, digest, host)


def _skip_of(spec: Spec, location: Location, now: datetime, policy: VerificationPolicy) -> Skip | None:
    return skip_of(policy, location, spec.registries, now)


def _code(answer: Answer) -> int:
    verdict = answer.verdict
    if verdict.lets_pass:
        return DONE
    if verdict.result is Result.FAIL:
        return REFUSED
    return TEMPORARY if answer.is_temporary else FAILED
