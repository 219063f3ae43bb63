"""What runs in a Kubernetes cluster: the images of all pods, page by page.

Source: Kubernetes API reference, core/v1 Pod, and "API Concepts", "Retrieving large results sets in chunks".
A list that is not read to its end says nothing: whatever is not known to run might be deleted.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import anyio

from regsync.errors import DeniedError, RegsyncError, TemporaryError
from regsync.remote.answers import Complaint
from regsync.remote.errors import shown
from regsync.remote.transport import Transport

PAGE = 250  # pods
MAX_PAGES = 10_000
MAX_PAGE_SIZE = 64 * 1024 * 1024  # bytes
TIME_LIMIT = 60.0  # seconds for one page
TRIES = 4  # of one page, and of a list that grew too old while it was read
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


class ClusterError(RegsyncError):
    """A cluster does not say what runs in it."""

    usual_hint = "try `kubectl get pods --all-namespaces` with the same context"

    def __init__(self, where: str, cause: str) -> None:
        super().__init__(f"{where}: {cause}")


class ClusterDeniedError(ClusterError, DeniedError):
    """Who asks may not list the pods of all namespaces."""

    usual_hint = "let the account list pods in all namespaces: docs/pruning.md has the ClusterRole"


class ClusterBusyError(ClusterError, TemporaryError):
    """It failed, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class PodImage:
    """One reference that a pod has, as it stands there."""

    text: str
    pod: str  # namespace/name


@dataclass(frozen=True, slots=True)
class Cluster:
    """One API server. `token` gives the token for the next request, or None where a certificate says who."""

    name: str  # for people
    server: str  # https://host[:port][/path]
    transport: Transport
    token: Callable[[], str | None]
    pause: Callable[[float], Awaitable[None]]  # seconds

    async def images(self) -> frozenset[PodImage]:
        """Every image that containers of any pod name or were started from.

        Raises ClusterError, and RegistryError where there is no connection.
        """
        for _ in range(TRIES):
            found = await self._all()
            if found is not None:
                return found
        raise ClusterBusyError(self.name, f"the list of pods grew too old {TRIES} times while it was read")

    async def _all(self) -> frozenset[PodImage] | None:
        """All pages; None where the server has forgotten the state that they are of."""
        found: set[PodImage] = set()
        path = f"/api/v1/pods?limit={PAGE}"
        following = ""
        for _ in range(MAX_PAGES):
            page = await self._page(path + following)
            if page is None:
                return None
            items, more = _read(page, self.name)
            for item in items:
                found.update(_images(item))
            if not more:
                return frozenset(found)
            following = f"&continue={quote(more, safe='')}"
        raise ClusterError(self.name, f"it has more than {MAX_PAGES} pages of {PAGE} pods")

    async def _page(self, path: str) -> bytes | None:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._get(path)
            except TemporaryError:
                if attempt == TRIES:
                    raise
            await self.pause(2.0 ** (attempt - 1))
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    async def _get(self, path: str) -> bytes | None:
        headers = {"accept": "application/json"}
        if (token := self.token()) is not None:
            headers["authorization"] = f"Bearer {token}"
        try:
            with anyio.fail_after(TIME_LIMIT):
                answer = await self.transport.start("GET", self.server + path, headers)
                try:
                    body = bytearray()
                    async for chunk in answer.chunks():
                        body += chunk
                        if len(body) > MAX_PAGE_SIZE:
                            raise ClusterError(self.name, f"a page is longer than {MAX_PAGE_SIZE} bytes")
                finally:
                    await answer.close()
        except TimeoutError as cause:
            raise ClusterBusyError(self.name, f"no whole answer within {TIME_LIMIT:.0f} s") from cause
        if answer.status == HTTPStatus.GONE and "continue=" in path:
            return None
        if answer.status != HTTPStatus.OK:
            raise self._refusal(answer.status, bytes(body))
        return bytes(body)

    def _refusal(self, status: int, body: bytes) -> ClusterError:
        text = Complaint.read(body, "application/json").text
        cause = f"GET pods: {status}" + (f": {shown(text)}" if text else "")
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return ClusterDeniedError(self.name, cause)
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ClusterBusyError(self.name, cause)
        return ClusterError(self.name, cause)


def _read(raw: bytes, where: str) -> tuple[list[Mapping[str, Any]], str]:
    """The pods of a page, and the token for the next one, empty at the end."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as cause:
        raise ClusterError(where, "its answer is no JSON") from cause
    if not isinstance(document, dict) or document.get("kind") != "PodList":
        raise ClusterError(where, "its answer is no list of pods")
    items, metadata = document.get("items"), document.get("metadata")
    items = [] if items is None else items  # Go writes an empty list as null
    more = metadata.get("continue", "") if isinstance(metadata, dict) else ""
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ClusterError(where, "its list of pods is none")
    if not isinstance(more, str):
        raise ClusterError(where, "its list of pods does not say whether it goes on")
    return items, more


def _images(pod: Mapping[str, Any]) -> Iterator[PodImage]:
    metadata = _mapping(pod.get("metadata"))
    name = shown(f"{metadata.get('namespace', '')}/{metadata.get('name', '')}", 200)
    spec, status = _mapping(pod.get("spec")), _mapping(pod.get("status"))
    for holder, keys in ((spec, _CONTAINERS), (status, _STATUSES)):
        for key in keys:
            containers = holder.get(key)
            for container in containers if isinstance(containers, list) else ():
                for reference in ("image", "imageID"):
                    text = _mapping(container).get(reference)
                    if isinstance(text, str) and text:
                        yield PodImage(text, name)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
