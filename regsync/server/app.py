"""The ASGI application: who asks, which endpoint, may they, and the answer or the error as JSON."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from regsync.clock import Clock
from regsync.oci.reference import RepositoryName
from regsync.server.access import Action
from regsync.server.asks import Asks
from regsync.server.blobs import Blobs
from regsync.server.failures import JSON, ApiError, as_api_error
from regsync.server.listings import Listings
from regsync.server.manifests import Manifests
from regsync.server.message import ClientGoneError, Receive, Request, Response, Scope, Send
from regsync.server.policy import Policy
from regsync.server.promises import Promises
from regsync.server.pull import Outcome, Pull
from regsync.server.pull_through import PullThrough
from regsync.server.required import NotLetPassError
from regsync.server.routes import Endpoint, Route, route
from regsync.server.sending import send_response
from regsync.server.stalled import Bodies
from regsync.server.states import States
from regsync.server.uploads import Uploads
from regsync.server.upstreams import Located
from regsync.server.values import parse_digest, parse_name
from regsync.server.watch import Exchange, Pulled, Watch
from regsync.store.builtin import BuiltinStore

_READING = ("GET", "HEAD")
Handler = Callable[[], Awaitable[Response]]
Page = Callable[[Exchange, Policy], Awaitable[Response]]


class Application:
    """One store, served.

    `watches` are told of every request; `pages` are what there is beside the API, by their path;
    `before_change` is asked before whatever may change something, and raises ApiError to refuse it.
    """

    def __init__(
        self,
        store: BuiltinStore,
        policy: Policy,
        clock: Clock,
        *,
        watches: Sequence[Watch] = (),
        pages: Mapping[str, Page] | None = None,
        bodies: Bodies | None = None,
        before_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.policy = policy  # read once for each request, so it may be replaced at any time
        self.bodies = bodies if bodies is not None else Bodies(clock)
        self._store, self._clock, self._watches = store, clock, watches
        self._pages, self._before_change = pages or {}, before_change
        self.pull_through = PullThrough(store, clock)  # whoever serves lets it `run` beside the requests
        self.promises = Promises()  # likewise
        self._manifests, self._blobs = Manifests(store), Blobs(store)
        self._uploads, self._listings = Uploads(store), Listings(store)
        self._states = States(store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive, self._clock.new_id())
        exchange = Exchange(request, self._clock.monotonic())
        try:
            exchange.response = await self.respond(exchange)
            if request.method not in _READING and request.is_unread:
                # The server closes the connection then: who is not told sends its next request into it.
                exchange.response.add(b"connection", "close")
            exchange.sent = await send_response(exchange, exchange.response, send)
        except ClientGoneError as error:
            # Who sent nonsense amid a body, or closed one direction only, is there; nobody else minds.
            answer = ApiError(400, "SIZE_INVALID", str(error), headers={"Connection": "close"})
            await send_response(exchange, answer.response(), send)
        finally:
            exchange.seconds = self._clock.monotonic() - exchange.started
            for watch in self._watches:
                watch.answered(exchange)

    async def respond(self, exchange: Exchange) -> Response:
        """The answer. Raises ClientGoneError alone."""
        request = exchange.request
        try:
            if request.method in _READING:
                return await self._answer(exchange)
            with self.bodies.reading(request):
                return await self._answer(exchange)
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - the border: a defect too becomes an answer, and is logged
            return self._refusal(exchange, error)

    def _refusal(self, exchange: Exchange, error: Exception) -> Response:
        answer = as_api_error(error, place=f"store:{self._store.name}/")
        exchange.code = answer.code
        if answer.status >= 500:
            exchange.failure = error
        response = answer.response()
        response.add(b"x-request-id", exchange.request.id)
        return response

    async def _answer(self, exchange: Exchange) -> Response:
        request, policy = exchange.request, self.policy
        if not request.has_one_host:
            raise ApiError(400, "UNSUPPORTED", "a request has one Host header (RFC 9112, section 3.2)")
        found = exchange.route = route(request.path)
        if found is None:
            page = self._pages.get(request.path)
            if page is None:
                raise ApiError(404, "NOT_FOUND", "there is nothing; the API is below /v2/")
            _only(request, *_READING)
            return await page(exchange, policy)
        principal = exchange.principal = await policy.access.identify(request)
        asks = Asks(request, principal, policy)
        if found.endpoint is Endpoint.BASE:
            return _base(asks)
        if found.endpoint is Endpoint.CATALOG:
            _only(request, "GET", "HEAD")
            _require_own_host(asks)
            wanted = asks.login("log in to list repositories")
            return await self._listings.catalog(request, partial(asks.may, Action.PULL), wanted)
        if found.endpoint is Endpoint.STATE:
            return await self._state(asks, found)
        located = _locate(request, found, policy)
        exchange.repository = located.name
        if request.method not in _READING:
            self._check_changes(policy)
        if located.upstream is None or request.method == "DELETE":
            return await self._repository(asks, found, located.name)
        return await self._pulled(exchange, asks, found, located)

    async def _state(self, asks: Asks, found: Route) -> Response:
        _only(asks.request, "GET", "HEAD")
        _require_own_host(asks)
        if not found.name or asks.request.parameter("depth") is not None:
            return await self._states.namespace(asks, parse_name(found.name) if found.name else "")
        name = parse_name(found.name)
        asks.require(Action.PULL, name)
        return await self._states.repository(asks.request, name)

    async def _pulled(self, exchange: Exchange, asks: Asks, found: Route, located: Located) -> Response:
        request, name, upstream = exchange.request, located.name, located.upstream
        assert upstream is not None  # noqa: S101 - else it is a repository like any other
        if request.method not in _READING or found.endpoint in (Endpoint.UPLOADS, Endpoint.UPLOAD):
            asks.require(Action.PUSH, name)
            said = f"{name} is what {upstream.namespace} has: push it there"
            raise ApiError(405, "UNSUPPORTED", said, headers={"Allow": "GET, HEAD, DELETE"})
        asks.require(Action.PULL, name)
        pull = Pull(
            name,
            upstream,
            asks.refusal(upstream, name, self._before_change),
            partial(asks.may, Action.PULL),
            partial(asks.policy.is_immutable, name),
            asks.stranger(upstream, name),
            upstream.required_of(name),
        )
        exchange.pulled = Pulled(upstream.prefix)
        try:
            response, done = await self.pull_through.answer(request, found, located.asked, pull)
        except NotLetPassError as error:
            exchange.pulled = Pulled(upstream.prefix, Outcome.REFUSED, error.denial)
            raise
        exchange.pulled = Pulled(upstream.prefix, done.outcome, done.denial)
        return response

    def _check_changes(self, policy: Policy) -> None:
        if policy.read_only:
            said = "the registry is read-only now"
            raise ApiError(405, "DENIED", said, headers={"Allow": "GET, HEAD"})
        self._before_change()

    async def _repository(self, asks: Asks, found: Route, name: RepositoryName) -> Response:
        request, endpoint, reference = asks.request, found.endpoint, found.reference
        if endpoint is Endpoint.MANIFEST:
            return await self._manifest(asks, name, reference)
        if endpoint in (Endpoint.UPLOADS, Endpoint.UPLOAD):
            asks.require(Action.PUSH, name)
            return await self._upload(asks, found, name)
        if endpoint is Endpoint.BLOB and request.method == "DELETE":
            asks.require(Action.DELETE, name)
            return await self._blobs.delete(request, name, reference)
        asks.require(Action.PULL, name)
        if endpoint is Endpoint.BLOB:
            _only(request, "GET", "HEAD", also=("DELETE",))
            get = partial(self._blobs.get, request, name, reference)
            return await self._relied_on(asks, name, reference, get)
        _only(request, "GET", "HEAD")
        if endpoint is Endpoint.TAGS:
            return await self._listings.tags(request, name)
        if endpoint is Endpoint.REFERRERS:
            return await self._listings.referrers(request, name, reference)
        raise ApiError(404, "UNSUPPORTED", "there is no such endpoint")

    async def _manifest(self, asks: Asks, name: RepositoryName, reference: str) -> Response:
        request = asks.request
        if request.method == "PUT":
            asks.require(Action.PUSH, name)
            return await self._manifests.put(request, name, reference, asks.fixed(name))
        if request.method == "DELETE":
            asks.require(Action.DELETE, name)
            return await self._manifests.delete(request, name, reference, asks.policy.is_immutable)
        _only(request, "GET", "HEAD", also=("PUT", "DELETE"))
        asks.require(Action.PULL, name)
        if request.method == "GET":
            return await self._manifests.get(request, name, reference)
        return await self._relied_on(
            asks, name, reference, partial(self._manifests.head, request, name, reference)
        )

    async def _relied_on(self, asks: Asks, name: RepositoryName, reference: str, answer: Handler) -> Response:
        """An answer that whoever pushes takes for a promise: content that is there is not sent again."""
        response = await answer()
        request = asks.request
        if request.method != "HEAD" or response.status >= 400 or ":" not in reference:
            return response
        if asks.policy.read_only or not asks.may(Action.PUSH, name):
            return response
        repository, digest = self._store.repository(name), parse_digest(reference)
        promised = await self.promises.claim(repository, digest)
        if promised:
            return response
        if promised is None and not await repository.is_replaceable(digest):
            return response
        if promised is None:
            raise ApiError(404, "UNKNOWN", f"whether {digest} stays cannot be said now: send it")
        return await answer()  # it was deleted between the look and the promise

    async def _upload(self, asks: Asks, found: Route, name: RepositoryName) -> Response:
        request, uploads, session = asks.request, self._uploads, found.reference
        if found.endpoint is Endpoint.UPLOADS:
            _only(request, "POST")
            return await uploads.start(request, name, lambda other: asks.may(Action.PULL, other))
        steps: dict[str, Handler] = {
            "PATCH": lambda: uploads.append(request, name, session),
            "PUT": lambda: uploads.finish(request, name, session),
            "GET": lambda: uploads.status(name, session),
            "HEAD": lambda: uploads.status(name, session),
            "DELETE": lambda: uploads.cancel(name, session),
        }
        _only(request, *steps)
        return await steps[request.method]()


def _locate(request: Request, found: Route, policy: Policy) -> Located:
    name = parse_name(found.name)
    if not policy.upstreams:
        return Located(name, name)
    namespace = request.parameter("ns") if request.method in _READING else None
    return policy.upstreams.locate(name, request.header(b"host"), namespace)


def _require_own_host(asks: Asks) -> None:
    if asks.policy.upstreams.of_host(asks.request.header(b"host")) is not None:
        said = "repositories are listed and compared under the registry's own name, not an upstream's"
        raise ApiError(404, "UNSUPPORTED", said)


def _base(asks: Asks) -> Response:
    _only(asks.request, *_READING)
    wanted = asks.login("log in")
    if wanted is not None:
        raise wanted
    return Response(200, [JSON], b"{}")


def _only(request: Request, *methods: str, also: tuple[str, ...] = ()) -> None:
    if request.method not in methods:
        allowed = ", ".join((*methods, *also))
        raise ApiError(
            405, "UNSUPPORTED", f"{request.method[:20]} is not supported here", headers={"Allow": allowed}
        )
