"""Asking policies of one image: its evidence is gathered once, examined, and judged.

The one place where discovery and judgement meet: for a run, for `regsync verify` and for a server that
fetches. What is found goes from the repository straight into the examination, so that of a thousand
attestations only what a policy asks of is ever held.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from anyio import CapacityLimiter, to_thread

from regsync.content.concurrently import for_each
from regsync.content.evidence import Shelf
from regsync.content.gather import Bounds, gather
from regsync.content.graph import Shape, images_below
from regsync.content.manifests import Manifests
from regsync.content.pieces import Looked, Piece
from regsync.content.protocol import Source
from regsync.content.room import Room
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import MIB, Index, Manifest
from regsync.spec.verification import Scope
from regsync.trust.envelopes import Question
from regsync.trust.examine import Examined, examine
from regsync.trust.formats import wants
from regsync.trust.judge import judge
from regsync.trust.policy import CompiledPolicy
from regsync.trust.verdict import Result, Verdict

# What of one manifest is examined at once; more would hold up whoever else waits.
SMALL = 64 * 1024  # bytes of evidence
FEW = 8  # layers

_THREADS = CapacityLimiter(2)  # conditions wait for one another; whoever else needs threads must not
_UNDERSTOOD = Room(32 * MIB)  # bytes of JSON: as objects they take up to 25 times as many


@dataclass(frozen=True, slots=True)
class Asked:
    """One policy, the digests that must carry evidence for it, and where that is looked for."""

    policy: CompiledPolicy
    subjects: Mapping[Digest, str | None]  # with the platform of each, for people
    shelves: tuple[Shelf, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, and whether what kept it from being a better one may be gone soon."""

    verdict: Verdict
    is_temporary: bool = False


@dataclass(slots=True)
class _Beside:
    """What was found beside one subject in one repository, by the policies that want to know."""

    examined: dict[str, list[Examined]] = field(default_factory=dict)
    looked: tuple[Looked, ...] = ()
    withheld: list[RegsyncError] = field(default_factory=list)  # why pieces were not given to be read

    @property
    def troubles(self) -> list[RegsyncError]:
        """Everything that kept evidence from being seen."""
        return [*self.withheld, *(one.problem for one in self.looked if one.problem and one.is_open)]


async def subjects_of(
    scope: Scope,
    desc: Descriptor,
    manifests: Manifests,
    sources: Sequence[Source],
    *,
    shape: Shape = None,
    root: Digest | None = None,
) -> Mapping[Digest, str | None]:
    """The digests that must carry evidence of an image by a policy's scope, with their platforms.

    `root` is the digest of an index that `shape` reduces. Raises what reading an index raises.
    """
    top: dict[Digest, str | None] = {root or desc.digest: None}
    if scope is Scope.INDEX or not desc.is_index:
        return top
    found = await images_below(manifests, sources, desc, shape=shape)
    images = {digest: str(platform) if platform is not None else None for digest, platform in found.items()}
    return images if scope is Scope.PLATFORMS else top | images


async def inquire(
    asked: Sequence[Asked],
    question: Question,
    *,
    manifests: Manifests | None = None,
    top: Manifest | Index | None = None,
) -> tuple[Answer, ...]:
    """What each policy says of the image of `question`, in the order in which they are asked.

    `manifests` are shared with whoever copies what is found, `top` is the image where it has been read;
    see `gather`. Registries that fail are a part of the verdict, not an exception.
    """
    wanted: dict[tuple[Digest, Shelf], list[Asked]] = {}
    for one in asked:
        for subject in one.subjects:
            for shelf in one.shelves:
                wanted.setdefault((subject, shelf), []).append(one)

    async def look(key: tuple[Digest, Shelf]) -> _Beside:
        subject, shelf = key
        return await _look(subject, shelf, wanted[key], question, manifests, top)

    found = dict(zip(wanted, await for_each(look, list(wanted)), strict=True))
    return tuple(_answer(one, found, question) for one in asked)


async def _look(
    subject: Digest,
    shelf: Shelf,
    asked: Sequence[Asked],
    question: Question,
    manifests: Manifests | None,
    top: Manifest | Index | None,
) -> _Beside:
    beside = _Beside()

    async def take(piece: Piece) -> None:
        beside.withheld.extend(piece.withheld)
        for one in asked:
            found = await examine_in_turn(piece, one, question)
            beside.examined.setdefault(one.policy.name, []).extend(found)

    bounds = Bounds(referrers=max(one.policy.policy.max_evidence for one in asked))
    beside.looked = await gather(
        shelf, subject, wants=wants, take=take, bounds=bounds, manifests=manifests, top=top
    )
    return beside


async def examine_in_turn(piece: Piece, asked: Asked, question: Question) -> tuple[Examined, ...]:
    """What a policy says of a piece: at once where that is soon said, else beside the event loop.

    Layers are understood one after another, and of all images only so many bytes at once.
    """
    if asked.policy.is_quick and is_small(piece):
        return examine(piece, asked.policy, question, asked.subjects)
    largest = max((len(layer) for layer in piece.layers.values() if isinstance(layer, bytes)), default=0)
    async with _UNDERSTOOD.hold(largest):
        work = partial(examine, piece, asked.policy, question, asked.subjects)
        return await to_thread.run_sync(work, limiter=_THREADS)


def is_small(piece: Piece) -> bool:
    """By all layers, each as often as it is named: one payload may stand under a thousand signatures."""
    layers = piece.manifest.layers if piece.manifest is not None else ()
    return len(layers) <= FEW and sum(layer.size for layer in layers) <= SMALL


def _answer(asked: Asked, found: Mapping[tuple[Digest, Shelf], _Beside], question: Question) -> Answer:
    beside = [found[subject, shelf] for subject in asked.subjects for shelf in asked.shelves]
    looked = [one for each in beside for one in each.looked]
    examined = [one for each in beside for one in each.examined.get(asked.policy.name, ())]
    named = {digest: name for digest, name in asked.subjects.items() if name is not None}
    verdict = judge(asked.policy, examined, looked, tuple(asked.subjects), question, named)
    troubles = [trouble for each in beside for trouble in each.troubles]
    temporary = bool(troubles) and all(isinstance(one, TemporaryError) for one in troubles)
    return Answer(verdict, is_temporary=verdict.result is Result.ERROR and temporary)
