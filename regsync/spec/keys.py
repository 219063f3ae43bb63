"""What all models of the spec share: every key is known, and written in camelCase."""

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Keys(BaseModel):
    """A mapping of which every key is known."""

    # Built when first used: a spec without groups pays nothing for them.
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, arbitrary_types_allowed=True, defer_build=True
    )

    not_yet: ClassVar[Mapping[str, str]] = {}  # keys that are known, and what to do without them

    def exactly_one(self, *names: str) -> Self:
        """Raise ValueError unless exactly one of `names` is given."""
        given = self._given(names)
        if len(given) != 1:
            found = f"found {' and '.join(given)}" if given else "found none"
            raise ValueError(f"expected exactly one of {', '.join(map(self._written, names))}, {found}")
        return self

    def at_most_one(self, *names: str) -> Self:
        """Raise ValueError where more than one of `names` is given."""
        given = self._given(names)
        if len(given) > 1:
            raise ValueError(f"expected only one of {', '.join(given)}")
        return self

    def _given(self, names: tuple[str, ...]) -> list[str]:
        return [self._written(name) for name in names if getattr(self, name) is not None]

    @classmethod
    def _written(cls, name: str) -> str:
        return cls.model_fields[name].alias or name
