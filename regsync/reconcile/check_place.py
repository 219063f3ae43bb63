"""What one target has under the tags of a mirror, in as few requests as it takes.

A listing that shows digests is all; else a HEAD for each tag, which for a registry that knows conditional
requests is only "is it still this?". A place that stops answering is asked no further.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import Confirms, Store
from regsync.errors import DeferredError, DeniedError, RegsyncError, TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.by_latency import for_each_by_latency
from regsync.reconcile.engine import Run
from regsync.reconcile.look import Wanted
from regsync.reconcile.repositories import TargetView

MISSED_ASKED = 8  # absent tags that are asked for by name: a listing may be short


@dataclass(slots=True)
class PlaceAsked:
    """One target's answers, as far as they go."""

    view: TargetView
    digests: dict[Wanted, Digest | None] = field(default_factory=dict)  # None: it is not there
    failures: dict[Wanted, RegsyncError] = field(default_factory=dict)  # of single tags
    ended: RegsyncError | None = None  # why the place was asked no further

    def note(self, error: RegsyncError) -> None:
        """Ask no further where every other answer would be the same."""
        exhausted = isinstance(error, TemporaryError) and error.is_exhausted
        if exhausted or isinstance(error, DeferredError | DeniedError):
            self.ended = self.ended or error


async def ask_place(run: Run, view: TargetView, wanted: Mapping[Wanted, Digest | None]) -> PlaceAsked:
    """What `view` has under each of `wanted`, which say what is expected there, if that is known."""
    asked = PlaceAsked(view)
    absent = []
    for one in wanted:
        if one.tag is None or view.listed is None:
            continue
        if one.tag not in view.listed:
            absent.append(one)
        elif (desc := view.listed[one.tag]) is not None:
            asked.digests[one] = desc.digest
    asked.digests.update(dict.fromkeys(absent))
    todo = [one for one in wanted if one not in asked.digests]
    engine = run.engine
    await for_each_by_latency(
        lambda one: _ask(asked, one, wanted[one]), todo, clock=engine.clock, most=engine.concurrency
    )
    if view.listed and absent:
        await _distrust(run, asked, absent)
    return asked


async def _distrust(run: Run, asked: PlaceAsked, absent: list[Wanted]) -> None:
    """Ask for some tags that the listing lacks; if one of them is there after all, ask for every one."""
    some = absent[:: max(1, len(absent) // MISSED_ASKED)][:MISSED_ASKED]
    await for_each(lambda one: _ask(asked, one, None), some)
    if any(asked.digests.get(one) is not None for one in some):
        run.warn(f"{asked.view.location}: its listing leaves out tags that are there; each was asked for")
        rest = [one for one in absent if one not in some]
        await for_each(lambda one: _ask(asked, one, None), rest, at_once=run.engine.concurrency)


async def _ask(asked: PlaceAsked, wanted: Wanted, likely: Digest | None) -> None:
    if asked.ended is not None:
        asked.digests.pop(wanted, None)
        return
    try:
        asked.digests[wanted] = await _digest_at(asked.view.destination.store, wanted, likely)
    except ContentNotFoundError:
        asked.digests[wanted] = None
    except RegsyncError as error:
        asked.digests.pop(wanted, None)
        asked.failures[wanted] = error
        asked.note(error)


async def _digest_at(store: Store, wanted: Wanted, likely: Digest | None) -> Digest:
    name: Tag | Digest | None = wanted.tag if wanted.tag is not None else likely or wanted.digest
    assert name is not None  # noqa: S101 - a Wanted has a tag or a digest
    if isinstance(name, Tag) and likely is not None and isinstance(store, Confirms):
        return await store.confirm(name, likely)
    return (await store.resolve(name)).digest
