"""The state of a repository, or of all below a name, in one digest: for mirrors that compare (SERVER.md).

Two registries ask each other for one digest, and go down only where it differs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlencode

from regsync.content.single_flight import SingleFlight
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName
from regsync.server.access import Action
from regsync.server.asks import Asks
from regsync.server.conditions import is_unchanged
from regsync.server.failures import JSON, ApiError
from regsync.server.message import RawHeaders, Request, Response
from regsync.server.values import page_of
from regsync.store.builtin import BuiltinStore
from regsync.store.states import (
    NO_LINES,
    RepositoryState,
    combined,
    combined_referrers,
    names_below,
    relative,
    state_of,
    states_below,
    tag_states,
)

API_VERSION = "regsync.dev/v1"
MAX_PAGE = 10_000  # entries
MAX_DEPTH = 32
MAX_KEPT = 200_000  # states of repositories

_Query = Callable[..., Sequence[RepositoryState]]
_Key = tuple[_Query, str, int | None]


class States:
    """The endpoint `_regsync/state`. What was computed is kept while the catalogue does not change."""

    def __init__(self, store: BuiltinStore) -> None:
        self._store = store
        self._flights: SingleFlight[_Key, Sequence[RepositoryState]] = SingleFlight()
        self._version: int | None = None  # of the catalogue
        self._kept: dict[_Key, Sequence[RepositoryState]] = {}
        self.kept = 0  # states of repositories in memory

    async def repository(self, request: Request, name: RepositoryName) -> Response:
        """The tags of one repository: digest, size and times of the last push and pull of each."""
        limit, last = page_of(request, most=MAX_PAGE)
        state = next(iter(await self._states(state_of, name)), None)
        if state is None and await self._store.repository(name).tag_page("", 1) is None:
            raise ApiError(404, "NAME_UNKNOWN", f"there is no repository {name}")
        digest = combined([], "") if state is None else state.digest
        if is_unchanged(request, _tag(digest)):
            return Response(304, _headers(digest))
        page = await self._store.scan(partial(tag_states, repository=name, after=last, limit=limit + 1))
        shown = {
            one.tag: {
                "digest": str(one.desc.digest),
                "mediaType": one.desc.media_type,
                "size": one.desc.size,
                "pushedAt": _timestamp(one.pushed_at),
                **({} if one.pulled_at is None else {"pulledAt": _timestamp(one.pulled_at)}),
            }
            for one in page[:limit]
        }
        more = page[limit - 1].tag if limit and len(page) > limit else None
        fields = {
            "name": name,
            "digest": str(digest),
            "referrers": str(NO_LINES if state is None else state.referrers),
            "tagCount": 0 if state is None else state.tags,
            "tags": shown,
        }
        return _answer(request, "RepositoryState", fields, digest, more)

    async def namespace(self, asks: Asks, name: str) -> Response:
        """All at and below a name, or everywhere, rolled up to `depth` parts of the names below it.

        What the client may not pull is left out, as if it were not there: so no answer tells of it.
        """
        request = asks.request
        depth = _depth(request)
        limit, last = page_of(request, most=MAX_PAGE)
        states = await self._visible(asks, name)
        if not states:
            _refuse(asks, name)
        digest = combined(states, name)
        if is_unchanged(request, _tag(digest)):
            return Response(304, _headers(digest))
        fields: dict[str, object] = {"name": name, "depth": depth, **_rolled_up(states, name, digest)}
        more = None
        if depth:
            children = [one for one in _children(states, name, depth) if one[0] > last]
            if limit and len(children) > limit:
                more = children[limit - 1][0]
            fields["children"] = dict(children[:limit])
        return _answer(request, "NamespaceState", fields, digest, more)

    async def _visible(self, asks: Asks, name: str) -> Sequence[RepositoryState]:
        may_pull = partial(asks.may, Action.PULL)
        if (states_below, name, self._store.version()) not in self._kept:
            names = await self._store.scan(partial(names_below, name=name))
            if not any(map(may_pull, names)):  # tags are read and hashed only for who may see some
                return ()
        return [one for one in await self._states(states_below, name) if may_pull(one.name)]

    async def _states(self, query: _Query, name: str) -> Sequence[RepositoryState]:
        version = self._store.version()
        if version is None or version != self._version:
            self._version = version
            self._forget()
        key = (query, name, version)
        found = self._kept.get(key)
        if found is None:
            found = await self._flights.run(key, partial(self._store.scan, partial(query, name=name)))
            if found and version == self._version:
                self._keep(key, found)
        return found

    def _keep(self, key: _Key, found: Sequence[RepositoryState]) -> None:
        if self.kept + len(found) > MAX_KEPT:
            self._forget()
        if key not in self._kept:
            self.kept += len(found)
            self._kept[key] = found

    def _forget(self) -> None:
        self._kept.clear()
        self.kept = 0


def _refuse(asks: Asks, name: str) -> None:
    """Raise the answer to who may pull nothing at or below a name, whether there is something or not."""
    wanted = asks.login(f"log in to see what is at or below {name or '/'}")
    if wanted is not None:
        raise wanted
    if name:
        raise ApiError(404, "NAME_UNKNOWN", f"there is nothing at or below {name} that you may pull")


def _children(
    states: Sequence[RepositoryState], name: str, depth: int
) -> Sequence[tuple[str, Mapping[str, object]]]:
    """What is below, by the first `depth` parts of how the names go on; sorted by their bytes."""

    def start(one: RepositoryState) -> str:
        return "/".join(relative(one.name, name).split("/")[:depth])

    grouped: dict[str, list[RepositoryState]] = {}
    for one in states:  # `a`, `a-b`, `a/b`: those of one key need not be neighbours
        grouped.setdefault(start(one), []).append(one)
    found = []
    for key, some in sorted(grouped.items()):
        whole = name if key == "." else f"{name}/{key}".lstrip("/")
        found.append((key, _rolled_up(some, whole, combined(some, whole))))
    return found


def _rolled_up(states: Sequence[RepositoryState], name: str, digest: Digest) -> Mapping[str, object]:
    return {
        "digest": str(digest),
        "referrers": str(combined_referrers(states, name)),
        "repositories": len(states),
        "tagCount": sum(one.tags for one in states),
    }


def _tag(digest: Digest) -> bytes:
    return f'"{digest}"'.encode()


def _headers(digest: Digest) -> RawHeaders:
    # Weak: the same digest does not say that the times are the same.
    return (JSON, (b"etag", b"W/" + _tag(digest)))


def _answer(
    request: Request, kind: str, fields: Mapping[str, object], digest: Digest, more: str | None
) -> Response:
    raw = json.dumps({"apiVersion": API_VERSION, "kind": kind, **fields}).encode()
    response = Response(200, _headers(digest), raw)
    if more is not None:
        query = {key: values[-1] for key, values in request.query.items() if key in ("n", "depth")}
        response.add(b"link", f'<{request.path}?{urlencode({**query, "last": more})}>; rel="next"')
    return response


def _depth(request: Request) -> int:
    text = request.parameter("depth") or ""
    if not text.isascii() or not text.isdigit() or len(text) > 2 or int(text) > MAX_DEPTH:
        raise ApiError(400, "UNSUPPORTED", f"depth is {text[:40]!r}, expected a number up to {MAX_DEPTH}")
    return int(text)


def _timestamp(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
    return moment.isoformat().replace("+00:00", "Z")
