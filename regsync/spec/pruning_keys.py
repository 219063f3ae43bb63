"""Keys about deletion and about keeping former images: `prune` and `history` of mirrors."""

from typing import Annotated

from pydantic import Field

from regsync.spec import fields
from regsync.spec.history import DEFAULT_KEEP, DEFAULT_TEMPLATE, History, history_pieces
from regsync.spec.keys import Keys
from regsync.spec.pruning import DeletionLimits, Owns, PrunePolicy
from regsync.spec.schedule_check import check_cron, check_timezone
from regsync.spec.schedules import UTC, Schedule

_OWNS = [one.value for one in Owns]
OwnsWord = Annotated[str, fields.choice(*_OWNS), Field(json_schema_extra={"enum": _OWNS})]
MaxDeletes = Annotated[fields.Integer, *fields.between("integer", 0, 1_000_000)]
MaxPercent = Annotated[fields.Integer, *fields.between("integer", 1, 100)]
Cron = Annotated[
    str, fields.checked(check_cron), fields.schema("string", examples=["*/30 * * * *", "@daily"])
]
TimeZone = Annotated[str, fields.checked(check_timezone), fields.schema("string", examples=["Europe/Berlin"])]
HistoryTag = Annotated[
    str, fields.checked(history_pieces), fields.schema("string", examples=[DEFAULT_TEMPLATE])
]


class PruneKeys(Keys):
    """What may be deleted where the selection no longer yields it. `prune: {}` has all the defaults.

    Limits count per mirror and target repository. When more would have to go than they allow, nothing goes,
    copies still happen, and the run ends with 3.
    """

    max_deletes: MaxDeletes = Field(10, description="The most tags that go in one run (10).")
    max_delete_percent: MaxPercent = Field(
        10,
        description="The most of our tags there that go in one run, in percent, rounded up, at least 1 (10).",
    )
    grace: fields.Duration | None = Field(
        None,
        description="How long a tag has to be unwanted, run after run, before it goes (7d); 0s: at once.",
    )
    protect: list[fields.Glob] | None = Field(None, description="Globs of target tags that never go.")
    owns: OwnsWord = Field(
        "ledger",
        description="`ledger`: tags that regsync wrote, as its ledger remembers; `repository`: all tags of "
        "the target repositories, where regsync alone writes and the ledger does not last (ledger).",
    )


class HistoryKeys(Keys):
    """Under which tag a moved tag's former image stays, for rollback. `history: {}` has all the defaults."""

    tag: HistoryTag = Field(
        DEFAULT_TEMPLATE,
        description="Made of {tag}, {digest} or {digest:12}, and {date}, the day of the move in UTC "
        "({tag}-{date}-{digest:12}).",
    )
    keep: Annotated[fields.Integer, *fields.between("integer", 1, 1000)] = Field(
        DEFAULT_KEEP,
        description="How many former images of a tag stay (10). Older ones are deleted, of those alone "
        "that regsync tagged so, within the limits of `prune`.",
    )


class DeletionLimitKeys(Keys):
    """How much may be deleted of one repository in one run; more, and nothing is."""

    max_deletes: MaxDeletes = Field(100, description="The most tags that go (100).")
    max_delete_percent: MaxPercent = Field(
        20, description="The most of the repository's tags, in percent, rounded up, at least 1 (20)."
    )


def prune_policy(keys: PruneKeys | None) -> PrunePolicy | None:
    """What the keys mean."""
    if keys is None:
        return None
    limits = DeletionLimits(keys.max_deletes, keys.max_delete_percent)
    grace = PrunePolicy().grace if keys.grace is None else keys.grace
    return PrunePolicy(limits, grace, tuple(dict.fromkeys(keys.protect or ())), Owns(keys.owns))


def history(keys: HistoryKeys | None) -> History | None:
    """What the keys mean."""
    return None if keys is None else History(keys.tag, keys.keep)


def schedule(cron: str | None, timezone: str | None) -> Schedule | None:
    """What `schedule` and `timezone` mean together."""
    return None if cron is None else Schedule(" ".join(cron.split()), timezone or UTC)
