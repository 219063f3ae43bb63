"""`Link` headers: where a listing goes on.

Sources: RFC 8288, section 3; distribution-spec 1.1, "Listing Tags". A link may be relative or absolute,
quoted or not, one of several in one header or in several (REGISTRIES.md, 5). One that leaves the
registry would make us send requests wherever an answer likes (6), so it is refused.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import SplitResult, urljoin, urlsplit

from regsync.remote.errors import RegistryError, shown, shown_url

MAX_HEADER = 64 * 1024  # characters of one Link header that are looked at
_PORTS = {"http": 80, "https": 443}


class ForeignLinkError(RegistryError):
    """A listing says that it goes on at another host, port or scheme."""

    def __init__(self, target: str, *, where: str) -> None:
        super().__init__(
            f"{where}: the listing goes on at {shown(target)}, which is not this registry; not followed",
            hint="a registry behind a TLS proxy has to be told its public URL "
            "(distribution: http.host, or the proxy's X-Forwarded-Proto)",
        )


def next_page(values: Iterable[str], url: str, *, where: str) -> str | None:
    """The absolute URL of the page after the one at `url`, or None after the last.

    Raises ForeignLinkError unless it is at the same scheme, host and port.
    """
    for value in values:
        for target, parameters in parse_links(value[:MAX_HEADER]):
            if "next" in parameters.get("rel", "").lower().split():
                return _resolve(url, target, where)
    return None


def parse_links(value: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Every `<target>; name=value; name="value"` of one header, parameter names in lower case.

    What cannot be read ends the reading: nothing is guessed from the rest.
    """
    position = 0
    while (start := value.find("<", position)) != -1:
        end = value.find(">", start)
        if end == -1:
            return
        parameters, position = _parameters(value, end + 1)
        yield value[start + 1 : end].strip(), parameters


def _parameters(value: str, position: int) -> tuple[dict[str, str], int]:
    """Parameters from `position` up to the comma that ends this link; and where the next one begins."""
    found: dict[str, str] = {}
    while position < len(value):
        match value[position]:
            case ",":
                return found, position + 1
            case ";" | " " | "\t":
                position += 1
            case _:
                position = _parameter(value, position, found)
    return found, position


def _parameter(value: str, position: int, found: dict[str, str]) -> int:
    start = position
    while position < len(value) and value[position] not in "=;,":
        position += 1
    name = value[start:position].strip().lower()
    text = ""
    if position < len(value) and value[position] == "=":
        text, position = _parameter_value(value, position + 1)
    if name:
        found.setdefault(name, text)  # RFC 8288: of several `rel` the first counts
    return position


def _parameter_value(value: str, position: int) -> tuple[str, int]:
    while position < len(value) and value[position] in " \t":
        position += 1
    if position < len(value) and value[position] == '"':
        return _quoted(value, position + 1)
    start = position
    while position < len(value) and value[position] not in ";,":
        position += 1
    return value[start:position].strip(), position


def _quoted(value: str, position: int) -> tuple[str, int]:
    characters: list[str] = []
    while position < len(value) and value[position] != '"':
        if value[position] == "\\":
            position += 1
        characters.append(value[position : position + 1])
        position += 1
    return "".join(characters), position + 1


def _resolve(url: str, target: str, where: str) -> str:
    try:
        absolute = urljoin(url, target)
        parts = urlsplit(absolute)
        here, there = _origin(urlsplit(url)), _origin(parts)
    except ValueError as cause:  # a broken port or IPv6 address
        raise ForeignLinkError(shown_url(target), where=where) from cause
    if here != there or parts.username is not None:
        raise ForeignLinkError(f"{there[0]}://{there[1]}:{there[2]}", where=where)
    return absolute


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
