"""Which policies are known to let which manifests pass, in memory, until something in that expires."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

from regsync.clock import Clock
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.server.pull import Pull
from regsync.spec.model import Location

if TYPE_CHECKING:
    from regsync.trust.policy import CompiledPolicy

MAX_KNOWN = 50_000  # manifests times policies
REMEMBERED = timedelta(days=400)  # a pass in which nothing expires
NEWS_AFTER = timedelta(hours=24)  # a pass that newer evidence may undo is asked again after that
WARNED_FOR = timedelta(minutes=10)  # what a policy only warns of
PUT_OFF_FOR = timedelta(seconds=15)  # when it was time to ask again, and nobody answered


class Ground(Enum):
    """Why a manifest is let pass, and so what that is good for."""

    VERDICT = "verdict"  # of its own
    LISTED = "listed"  # by an index that passes; what it lists itself passes like it
    EVIDENCE = "evidence"  # of what passes: nothing that it lists or names is any better for it


@dataclass(frozen=True, slots=True)
class Pass:
    """That a policy lets a manifest pass."""

    ground: Ground
    asked: float  # seconds, on the clock's monotonic
    fresh_until: datetime  # until then nobody is asked
    good_until: datetime | None  # when something in the verdict ends; None: nothing does


Key = tuple[str, Location, RepositoryName, Digest, str]  # a tag where that matters


def key_of(policy: "CompiledPolicy", pull: Pull, digest: Digest, tag: Tag | None) -> Key:
    """What a verdict belongs to: also the name at the upstream, which exceptions and conditions speak of."""
    assert pull.required is not None  # noqa: S101 - else there is no policy
    by_name = str(tag) if policy.uses_image and tag is not None else ""
    return policy.fingerprint, pull.required.location, pull.name, digest, by_name


class Passes:
    """Remembers; the ones that were not needed for the longest time leave first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[Key, Pass] = OrderedDict()

    def get(self, key: Key, *, stale: bool = False) -> Pass | None:
        """The pass if it is still good; one that should be asked for again only if `stale` will do."""
        known, now = self._known.get(key), self._clock.now()
        if known is None or (known.good_until is not None and known.good_until <= now):
            return None
        if known.fresh_until <= now and not stale:
            return None
        self._known.move_to_end(key)
        return known

    def put(self, key: Key, found: Pass) -> None:
        """Remember one."""
        self._known[key] = found
        self._known.move_to_end(key)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def of_verdict(self, *, news: bool, expires: datetime | None) -> Pass:
        """The pass that a verdict is now; `news`: evidence to come may undo it."""
        now = self._clock.now()
        until = now + (NEWS_AFTER if news else REMEMBERED)
        fresh = until if expires is None else min(until, expires)
        return Pass(Ground.VERDICT, self._clock.monotonic(), fresh, expires)

    def of_warning(self) -> Pass:
        """The pass of what a policy only warns of."""
        until = self._clock.now() + WARNED_FOR
        return Pass(Ground.VERDICT, self._clock.monotonic(), until, until)

    def put_off(self, key: Key, max_stale: float) -> bool:
        """Let one hold for a moment more since nobody answers; False if there is none, or none so young.

        `max_stale` is in seconds since somebody last did.
        """
        known = self.get(key, stale=True)
        if known is None or self._clock.monotonic() - known.asked >= max_stale:
            return False
        self.put(key, replace(known, fresh_until=self._clock.now() + PUT_OFF_FOR))
        return True
