"""What a run may delete at its targets: gathered while it looks, decided once all that counts was seen.

The decision itself is plan/pruning's. Deletions of a mirror are decided before a later mirror reads from
its targets, so that a chain is planned against the result of the one before.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from regsync.errors import RegsyncError
from regsync.oci.reference import Tag
from regsync.plan.arrivals import Lacking
from regsync.plan.model import Action, Problem
from regsync.plan.observation import UnitSeen
from regsync.plan.pruning import Scope
from regsync.reconcile.chain import Feeding
from regsync.reconcile.choose import Chosen
from regsync.reconcile.engine import Run
from regsync.reconcile.ledger import Deletion, Spot
from regsync.reconcile.look import UnitView, Unseen
from regsync.reconcile.pruning_scope import Before, decide_scope
from regsync.reconcile.pruning_writers import Writers
from regsync.reconcile.repositories import Repositories, TargetView
from regsync.spec.model import Binding, Location, Unit
from regsync.spec.pruning import Owns

UNKNOWN = (
    "deletions are unknown: the ledger has no history, so regsync cannot tell which tags it wrote; "
    "`regsync adopt` takes those that equal their source as its own, `prune.owns: repository` needs none"
)


class Pruning:
    """The deletions of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        # Tags that a lock file leaves out are not pruned, and those that it has are wanted.
        mirrors = run.spec.mirrors if run.spec.binding is not Binding.ALL else ()
        self._policies = {one.name: one.prune for one in mirrors if one.prune is not None}
        owned = all(one.owns is Owns.REPOSITORY for one in self._policies.values())
        self.is_known = run.engine.ledger.has_history or (bool(self._policies) and owned)
        self.waves: list[tuple[Scope, ...]] = []  # in the order in which they are carried out
        self._writers = Writers(run)
        self._targets: dict[Location, TargetView | Unseen] = {}
        self._decided: dict[tuple[str, Location], None] = {}  # in order
        self.begun: dict[Location, dict[Tag, Deletion]] = {}  # by earlier runs that were killed over it
        self._going: dict[Spot, frozenset[Tag]] = {}
        self._planned: frozenset[tuple[str, Location, Tag]] | None = None
        self._created: frozenset[tuple[Location, Tag | None]] = frozenset()

    @property
    def is_on(self) -> bool:
        """Whether any mirror of the run deletes anything."""
        return bool(self._policies)

    @property
    def scopes(self) -> Iterator[Scope]:
        """All that was decided."""
        return (scope for wave in self.waves for scope in wave)

    @property
    def failures(self) -> Iterator[UnitSeen]:
        """What went wrong at sources and targets that were looked at for nothing but deletions."""
        yield from self._writers.failed
        for mirror, location in self._decided:
            target = self._targets[location]
            if isinstance(target, Unseen):
                unit = replace(self._writers.units(mirror, location)[0], targets=(location,))
                yield UnitSeen(unit, (), (Problem.of(target.error),))

    def only(self, planned: Iterable[Action], created: Iterable[tuple[Location, Tag | None]]) -> None:
        """Delete nothing but what a plan deletes; `created` are the tags that this run brought before."""
        self._planned = frozenset((one.mirror, one.target, one.tag) for one in planned if one.tag is not None)
        self._created = frozenset(created)

    @property
    def absent(self) -> Lacking:
        """What mirrors want at targets that have nothing of it yet: for who copies nothing."""
        found: dict[tuple[str, Location], list[Tag]] = {}
        for scope in self.scopes:
            view = self._targets[scope.seen.target]
            if isinstance(view, TargetView) and view.listed is not None:
                wanted = set(scope.seen.wanted)
                if wanted and not wanted & view.listed.keys():
                    found[scope.seen.mirror, scope.seen.target] = sorted(wanted)
        return found

    def why_not(self, mirror: str, target: Location, tag: Tag) -> str | None:
        """Why a tag is not deleted there; None: it is gone."""
        view = self._targets.get(target)
        if isinstance(view, TargetView) and view.listed is not None and tag not in view.listed:
            return None
        for scope in self.scopes:
            if (scope.seen.mirror, scope.seen.target) == (mirror, target):
                found = (one for one in scope.decision.fates if one.tag == tag)
                return next((one.why for one in found), "regsync did not write it")
        return f"mirror {mirror} deletes nothing there"

    def expect(self, units: Iterable[Unit], unseen: Iterable[UnitSeen]) -> None:
        """Units of the run's mirrors, before they are looked at, and what of the mirrors is not known."""
        if self.is_on:
            self._writers.expect(units, unseen)

    def saw(self, view: UnitView, chosen: Chosen) -> None:
        """A unit's selection, and its targets before anything is written there."""
        if not self.is_on:
            return
        self._writers.saw(view, chosen)
        for target in view.targets:
            self._look_at(target)

    def going(self, spot: Spot) -> frozenset[Tag]:
        """Tags that this run is going to delete: for later mirrors they are gone."""
        return self._going.get(spot, frozenset())

    async def decide(self, repositories: Repositories, read: Feeding | None = None) -> None:
        """Decide of the targets that are `read` by what comes next; without it, of all that are left."""
        todo = [
            (mirror, target)
            for mirror, target in self._writers.pairs(self._policies)
            if (mirror, target) not in self._decided
            and (read is None or target in read)
            and (self._planned is None or (mirror, target) in {one[:2] for one in self._planned})
        ]
        self._decided.update(dict.fromkeys(todo))
        await self._writers.complete(dict.fromkeys(mirror for mirror, _ in todo), repositories)
        wave: list[Scope] = []
        for mirror, target in todo:
            if target not in self._targets:
                self._look_at(await target_at(target, repositories))
            scope = await self._decide(mirror, target)
            wave.append(scope)
            going = frozenset(one.tag for one in scope.pending if one.tag is not None)
            spot = self._run.spot(target)
            self._going[spot] = self.going(spot) | going
        if wave:
            self.waves.append(tuple(wave))
        if read is None and self.is_on and not self.is_known:
            self._run.warn(UNKNOWN)

    async def _decide(self, mirror: str, target: Location) -> Scope:
        run, spot = self._run, self._run.spot(target)
        planned = self._planned
        chosen = None
        if planned is not None:
            chosen = frozenset(tag for name, where, tag in planned if (name, where) == (mirror, target))
        view, policy = self._targets[target], self._policies[mirror]
        before = Before(
            self.going(spot), {tag: one.digest for tag, one in self.begun.get(target, {}).items()}
        )
        scope = await decide_scope(run, self._writers, mirror, view, policy, before, chosen)
        for tag, absence in scope.decision.absences.items():
            run.engine.ledger.absent(spot, tag, absence)
        if scope.seen.doubts and scope.seen.ours:  # a target that is not seen stands in the report
            run.warn(f"mirror {mirror}: nothing is deleted at {target}, since {'; '.join(scope.seen.doubts)}")
        return scope

    def _look_at(self, target: TargetView | Unseen) -> None:
        """Remember a target as it was before this run, and what became of an earlier run's last deletions."""
        if target.location in self._targets:
            return
        self._targets[target.location] = target
        if isinstance(target, Unseen) or target.listed is None:
            return
        created = {tag for location, tag in self._created if location == target.location}
        if created:
            listed = {tag: desc for tag, desc in target.listed.items() if tag not in created}
            self._targets[target.location] = replace(target, listed=listed)
        ledger = self._run.engine.ledger
        for one in ledger.open_deletions(target.spot):
            if one.tag in target.listed:
                self.begun.setdefault(target.location, {})[one.tag] = one
            else:
                ledger.deleted(one, self._run.now)


async def target_at(location: Location, repositories: Repositories) -> TargetView | Unseen:
    """A target, or why it could not be looked at."""
    try:
        return await repositories.target(location)
    except RegsyncError as error:
        return Unseen(location, error)
