"""What is wrong with a spec: every problem at its place, all of a run together."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from regsync.errors import SpecError
from regsync.spec.model import Position

MAX_SHOWN = 200  # problems in one message


@dataclass(frozen=True, slots=True, order=True)
class SpecProblem:
    """One problem: where, at which key, what was expected, and the nearest known name."""

    position: Position
    path: str  # of the key, such as `spec.tags[0].semver`; empty for a whole document or file
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        guess = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{self.position}: {where}{self.message}{guess}"


class InvalidSpecError(SpecError):
    """The spec has problems; all that were found are in it."""

    def __init__(self, problems: Iterable[SpecProblem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda one: (one.position, one.path, one.message)))
        shown = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        if len(self.problems) > MAX_SHOWN:
            shown.append(f"and {len(self.problems) - MAX_SHOWN} more problems")
        super().__init__("\n".join(shown))


class NoSpecError(SpecError):
    """There is nothing to read where a spec was looked for."""

    def __init__(self, where: str, cause: str) -> None:
        super().__init__(f"{where}: {cause}")

    @property
    def hint(self) -> str | None:
        """What to do next."""
        return "name files or directories, or write regsync.yaml; examples/ has working specs"


@dataclass(slots=True)
class Problems:
    """Where the steps of reading a spec put what they find."""

    found: list[SpecProblem] = field(default_factory=list)

    def add(self, position: Position, path: str, message: str, nearest: str | None = None) -> None:
        """Note one problem."""
        self.found.append(SpecProblem(position, path, message, nearest))

    def raise_any(self) -> None:
        """Raise InvalidSpecError when there is any problem."""
        if self.found:
            raise InvalidSpecError(self.found)


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that was probably meant."""
    from difflib import get_close_matches  # only a spec with mistakes needs it

    by_lower = {one.lower(): one for one in sorted(known, reverse=True)}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None
