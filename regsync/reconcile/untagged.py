"""Manifests that nothing leads to any more: what the ledger knows of them, for `untagged` of retention.

They stand in the ledger among tags that nothing keeps, under a name that no tag can have: their digest.
"""

from collections.abc import Mapping
from datetime import datetime

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.absence import Absence
from regsync.reconcile.engine import Run
from regsync.reconcile.ledger import Spot
from regsync.spec.globs import matches
from regsync.spec.model import Location


def lost_at(run: Run, spot: Spot) -> Mapping[Digest, datetime]:
    """Manifests there that an earlier run found nothing led to, and since when."""
    absences = run.engine.ledger.absences(spot)
    return {Digest.parse(key): absence.since for key, absence in absences.items() if ":" in key}


def remember_lost(run: Run, spot: Spot, unreached: Mapping[Digest, datetime]) -> None:
    """Keep in the ledger exactly what nothing leads to now."""
    absences = run.engine.ledger.absences(spot)
    for digest, since in unreached.items():
        key = Tag(str(digest))
        before = absences.get(key)
        seen = Absence.seen(run.now, before if before is not None else Absence(since, since, 0))
        run.engine.ledger.absent(spot, key, seen)
    for digest in lost_at(run, spot).keys() - unreached.keys():
        forget_lost(run, spot, digest)


def forget_lost(run: Run, spot: Spot, digest: Digest) -> None:
    """It is gone, or something leads to it again."""
    run.engine.ledger.absent(spot, Tag(str(digest)), None)


def lost_its_tag(run: Run, location: Location, digest: Digest) -> None:
    """A tag there was deleted or moved: what it pointed to is looked at when a policy wants to know."""
    key = run.spec.place(location).key
    for policy in run.spec.retention:
        if policy.untagged_keep_for is not None and any(
            run.spec.registries[glob.registry].place.key == key and matches(glob.path, location.repository)
            for glob in policy.repositories
        ):
            seen = Absence(run.now, run.now, 0)
            run.engine.ledger.absent(run.spot(location), Tag(str(digest)), seen)
            return
