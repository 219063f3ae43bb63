"""What is asked of a registry and what it answered, as values that know nothing of sockets."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.remote.errors import UnexpectedAnswerError, shown_url

MAX_ANSWER = 4 * 1024 * 1024  # bytes of an answer's body that `send` reads unless told otherwise

Content = bytes | AsyncIterable[bytes] | None


class Kind(Enum):
    """Kinds of requests; registries limit each on its own, so each is paced on its own."""

    PING = "ping"
    LIST = "list"
    MANIFEST_HEAD = "manifest-head"
    MANIFEST_GET = "manifest-get"  # counts as a pull at Docker Hub; HEAD does not
    MANIFEST_PUT = "manifest-put"
    BLOB_HEAD = "blob-head"
    BLOB_GET = "blob-get"
    UPLOAD = "upload"
    MOUNT = "mount"
    REFERRERS = "referrers"
    DELETE = "delete"
    CATALOG = "catalog"
    TOKEN = "token"  # noqa: S105 - the name of a kind of request


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token has to allow; `str()` is the scope as token servers take it.

    Source: distribution, "Token Scope Documentation".
    """

    repository: str | None  # None: the registry itself
    actions: frozenset[str]  # "pull", "push", "delete", "*"; empty: being known is enough

    @classmethod
    def pull(cls, repository: str) -> Self:
        """Read a repository."""
        return cls(repository, frozenset({"pull"}))

    @classmethod
    def push(cls, repository: str) -> Self:
        """Read and write a repository."""
        return cls(repository, frozenset({"pull", "push"}))

    @classmethod
    def delete(cls, repository: str) -> Self:
        """Delete in a repository."""
        return cls(repository, frozenset({"pull", "delete"}))

    @classmethod
    def catalog(cls) -> Self:
        """List the registry's repositories."""
        return cls(None, frozenset({"*"}))

    @classmethod
    def none(cls) -> Self:
        """Nothing in particular, such as for `/v2/`."""
        return cls(None, frozenset())

    def __str__(self) -> str:
        if not self.actions:
            return ""
        # pull before push: some token servers compare the text.
        actions = ",".join(
            sorted(self.actions, key=lambda action: (action != "pull", action != "push", action))
        )
        if self.repository is None:
            return f"registry:catalog:{actions}"
        return f"repository:{self.repository}:{actions}"


class Headers(Mapping[str, str]):
    """An answer's headers by lower-case name; a plain look-up gives the first value."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        found: dict[str, list[str]] = {}
        for name, value in pairs:
            found.setdefault(name.lower(), []).append(value)
        self._pairs = found

    def __getitem__(self, name: str) -> str:
        return self._pairs[name.lower()][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def all(self, name: str) -> list[str]:
        """Every value of a header that may be repeated, in the order sent; empty when absent."""
        return list(self._pairs.get(name.lower(), ()))


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a registry, before authentication.

    `url` is absolute, or a path beginning with `/` at the registry. A streamed `content` needs its
    `length` where that is known; it can be sent once only, so that such a request is never retried.
    """

    kind: Kind
    method: str
    url: str
    scope: Scope
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content = None
    length: int | None = None  # bytes of a streamed content
    extra_scopes: tuple[Scope, ...] = ()  # a mount also reads the repository it mounts from
    limit: int = MAX_ANSWER  # most bytes of the answer's body that `send` reads
    guard: Callable[[], None] | None = None  # called before each attempt, after all waiting; raises to forbid

    @property
    def is_repeatable(self) -> bool:
        """Whether it can be sent again: it has no streamed content."""
        return self.content is None or isinstance(self.content, bytes)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer read whole; `url` is where it came from after redirects."""

    status: int
    headers: Headers
    body: bytes
    url: str

    def json(self) -> object:
        """The body as JSON; raises UnexpectedAnswerError where it is none."""
        try:
            return loads(self.body)
        except InvalidJSONError as cause:
            found = self.headers.get("content-type", "no content type")
            message = f"{shown_url(self.url)} answered {self.status} with a body ({found}) that is {cause}"
            raise UnexpectedAnswerError(message, status=self.status) from cause


@dataclass(frozen=True, slots=True)
class StreamedResponse:
    """An answer whose body is still to come: `chunks` gives it once, in pieces of any size."""

    status: int
    headers: Headers
    url: str
    chunks: AsyncIterator[bytes]
