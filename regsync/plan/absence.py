"""For how long nothing has kept a tag: what the grace of a deletion is counted by."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self


@dataclass(frozen=True, slots=True)
class Absence:
    """Nothing kept a tag in `runs` runs on end, the first of them at `since`, the last at `last`."""

    since: datetime
    last: datetime
    runs: int

    @classmethod
    def seen(cls, now: datetime, before: "Absence | None") -> Self:
        """That of a run at `now`, which found that nothing keeps the tag, after what was known `before`.

        A first sight that has not come yet was seen by a clock that was wrong: it counts from now.
        """
        if before is None:
            return cls(now, now, 1)
        return cls(min(before.since, now), now, before.runs + 1)
