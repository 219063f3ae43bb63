"""When tags were last put and last pulled, where a place tells: for retention."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from regsync.oci.reference import Tag


@dataclass(frozen=True, slots=True)
class TagTimes:
    """Of one tag; None is not known, which is not the same as never."""

    pushed: datetime | None = None  # aware
    pulled: datetime | None = None  # aware; by the tag or by the digest that it points to


@runtime_checkable
class TellsTimes(Protocol):
    """Can tell of its tags when they were put and pulled."""

    async def times(self) -> Mapping[Tag, TagTimes] | None:
        """Every tag with its times; None where the place has no such answer after all."""
        ...
