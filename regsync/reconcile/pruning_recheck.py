"""Sources asked once more, before anything that they seem to have lost is deleted.

A list of tags may end early and look whole, and tags that a mirror names are taken without a list. What is
about to go for want of a source is asked for there by its name, and so is what has to be there. That costs
requests only where something goes. Source: DESIGN.md, "What is deleted", and section 6, rule 9.
"""

from collections.abc import Sequence

from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import Source
from regsync.errors import RegsyncError
from regsync.oci.reference import Tag
from regsync.plan.model import Problem
from regsync.plan.observation import UnitSeen
from regsync.reconcile.absent import TagNotFoundError
from regsync.reconcile.choose import Chosen, lost_tags
from regsync.reconcile.engine import Run
from regsync.reconcile.pruning_writers import Selected, Writers

ASKED_AT_ONCE = 16
SAMPLES = 10  # tags that go and that a source does not list
_IDENTITY = "{tag}"


async def doubts_of(run: Run, writers: Writers, mirror: str, due: Sequence[Tag]) -> tuple[str, ...]:
    """Why the selections of a mirror cannot be trusted after all; `due` are tags that are about to go."""
    found: list[str] = []
    for selected in writers.selected(mirror):
        found += await _left_out(run, selected, due)
    if mirror not in writers.named:  # once for all targets
        writers.named[mirror] = await _doubts_of_names(writers, mirror)
    return tuple(dict.fromkeys((*found, *writers.named[mirror])))


async def _doubts_of_names(writers: Writers, mirror: str) -> tuple[str, ...]:
    found: list[str] = []
    for selected in writers.selected(mirror):
        if lost := await _lost(selected):
            unit = selected.unit
            found += [problem.message for _, problem in lost]
            writers.failed.append(UnitSeen(unit, lost_tags(unit, Chosen((), lost=tuple(lost)))))
    return tuple(found)


async def _left_out(run: Run, selected: Selected, due: Sequence[Tag]) -> list[str]:
    """Tags that a source has and does not list."""
    if selected.unit.rename != _IDENTITY:
        return []  # what such a tag is called there is not known
    found = []
    for source in selected.sources:
        if source.listed is None:
            continue
        going = run.pruning.going(run.spot(source.location)) if run.pruning is not None else frozenset()
        unlisted = [tag for tag in due if tag not in source.listed and tag not in going]
        for tag in unlisted[:SAMPLES]:
            try:
                if await _has(source.store, tag):
                    found.append(f"{source.location} leaves {tag} out of its list of tags, and has it")
            except RegsyncError as error:
                found.append(f"{source.location} could not be asked for {tag}: {error}")
    return found


async def _lost(selected: Selected) -> list[tuple[Tag, Problem]]:
    """Tags that the mirror names, and that no source has; of those of rules a list has told already."""
    unit = selected.unit
    if not selected.sources:
        return []
    lists = [source.listed for source in selected.sources if source.listed is not None]
    held = {one.source_tag for one in unit.locked}
    pins = [pin.tag for pin in unit.pinned if pin.tag is not None and pin.digest is None]
    names = [tag for rule in unit.rules for tag in rule.names] if not lists else []
    named = [tag for tag in (*names, *pins) if tag not in held and not any(tag in one for one in lists)]
    lost: dict[Tag, Problem] = {}

    async def look(tag: Tag) -> None:
        try:
            for source in selected.sources:
                if await _has(source.store, tag):
                    return
        except RegsyncError as error:
            lost[tag] = Problem.of(error)
            return
        lost[tag] = Problem.of(TagNotFoundError(tag, ", ".join(map(str, unit.sources))))

    await for_each(look, dict.fromkeys(named), at_once=ASKED_AT_ONCE)
    return sorted(lost.items())


async def _has(store: Source, tag: Tag) -> bool:
    try:
        await store.resolve(tag)
    except ContentNotFoundError:
        return False
    return True
