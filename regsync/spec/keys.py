"""What all models of the spec share: every key is known, and written in camelCase."""

from typing import Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Keys(BaseModel):
    """A mapping of which every key is known."""

    # Built when first used: a spec without groups pays nothing for them.
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, arbitrary_types_allowed=True, defer_build=True
    )

    def exactly_one(self, *names: str) -> Self:
        """Raise ValueError unless exactly one of `names` is given."""
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"found {' and '.join(given)}" if given else "found none"
            raise ValueError(f"expected exactly one of {', '.join(names)}, {found}")
        return self
