"""When evidence has to be compared: pipelines sign after they push (DESIGN.md, section 6, rule 11)."""

from datetime import datetime, timedelta

from regsync.reconcile.ledger import Sighting

ALWAYS_WITHIN = timedelta(days=7)  # after the digest was first seen: on each run
LATER_EVERY = timedelta(hours=24)


def evidence_is_due(sighting: Sighting | None, now: datetime) -> bool:
    """Whether an equal digest counts as unchanged only after its evidence was compared too."""
    if sighting is None or sighting.compared is None:
        return True
    return now - sighting.first_seen < ALWAYS_WITHIN or now - sighting.compared >= LATER_EVERY
