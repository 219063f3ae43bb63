"""Manifests of upstreams: fetched when they are first pulled, then kept as new as is promised.

A digest is asked for once and for good. A tag is taken to be where it was for `max_age`; then the
upstream is asked by HEAD, which is no pull, and only what has moved is fetched. While the upstream
cannot be asked what is there is served, with a `Warning`, for `max_stale` after it last could be.
Harbor, distribution and zot ask at each pull of a tag; Quay alone bounds how old a copy may be.

What was heard of tags is kept in memory: after a restart each is asked for once more.

Where policies have to be met, what they refuse is neither stored nor served: a tag stays where it was
here, with a `Warning`, if that still meets them.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial

from anyio import fail_after

from regsync.clock import Clock
from regsync.content.errors import ContentNotFoundError
from regsync.content.references import Children
from regsync.content.single_flight import SingleFlight
from regsync.content.verified import verified_manifest
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.server.pull import HERE, Outcome, Prepared, Pull, called, told
from regsync.server.refusals import REFUSED_FOR
from regsync.server.required import NotLetPassError, PolicyNotAskedError
from regsync.server.verdicts import Verdicts
from regsync.store.builtin import BuiltinStore
from regsync.store.repository import BuiltinRepository

_log = logging.getLogger(__name__)

ASK_WITHIN = 5.0  # seconds for a HEAD while there is a copy to serve instead
FETCH_WITHIN = 25.0  # seconds for a manifest; containerd waits 30 for an answer to begin
MISSING_FOR = 10.0  # seconds for which what was not there is not asked for again
SILENT_FOR = 15.0  # seconds for which an upstream that failed is not asked about what is here
MAX_WORDS = 20_000  # tags and digests of which is remembered what was heard

_Key = tuple[RepositoryName, Tag | Digest]


class UpstreamSlowError(TemporaryError):
    """The upstream took longer than a client waits."""

    def __init__(self, where: str, seconds: float) -> None:
        super().__init__(f"{where}: no answer within {seconds:.0f} s")


@dataclass(frozen=True, slots=True)
class _Word:
    """What an upstream last said of a name: whether it was there, and when (seconds, monotonic)."""

    at: float
    is_there: bool


@dataclass(frozen=True, slots=True)
class _KeptBack:
    """What a name leads to upstream and policies refuse, since when (seconds, monotonic)."""

    at: float
    error: NotLetPassError
    required: tuple[str, ...]  # the policies, by all that matters


class UpstreamManifests:
    """Makes sure that manifests of upstreams are in the store before they are served from there."""

    def __init__(self, store: BuiltinStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.verdicts = Verdicts(store, clock)
        self._started = clock.monotonic()
        self._flights: SingleFlight[_Key, Outcome] = SingleFlight()
        self._words: OrderedDict[_Key, _Word] = OrderedDict()
        self._kept_back: OrderedDict[_Key, _KeptBack] = OrderedDict()
        self._silent: dict[RepositoryName | _Key, tuple[float, str]] = {}  # until when, and why

    async def prepare(self, pull: Pull, reference: Tag | Digest) -> Prepared:
        """Have it in the store, as new as is promised, and let pass by all policies.

        Raises ApiError where it cannot be had, or what the store raises.
        """
        prepared = await self._have(pull, reference)
        if pull.required is None:
            return prepared
        try:
            return replace(prepared, digest=await self._admitted(pull, reference))
        except NotLetPassError:
            kept = self._kept(pull, (pull.name, reference)) if prepared.denial is not None else None
            if kept is not None:
                raise kept.error from None  # that of what the upstream has now
            raise

    async def _have(self, pull: Pull, reference: Tag | Digest) -> Prepared:
        repository = self._repository(pull.name)
        here = await _held(repository, reference)
        if here is not None and (isinstance(reference, Digest) or pull.is_fixed(reference)):
            return HERE
        key = (pull.name, reference)
        if self._is_missing(pull, key):
            raise pull.missing(called(reference), reference)
        if here is not None and (not pull.may_fetch or self._is_fresh(pull, key)):
            kept = self._kept(pull, key)
            return HERE if kept is None else _holding(pull, kept.error)
        if pull.refusal is not None:
            raise pull.refusal
        if here is None:
            return Prepared(await self._fetch(pull, reference))
        return await self._revalidate(pull, key, here)

    async def _admitted(self, pull: Pull, reference: Tag | Digest) -> Digest:
        """What is here under a name, if policies let it pass: it may be older than they are."""
        try:
            desc, raw = await self._repository(pull.name).manifest(reference)
        except ContentNotFoundError:
            raise pull.missing(called(reference), reference) from None
        tag = None if isinstance(reference, Digest) else reference
        try:
            with fail_after(FETCH_WITHIN):
                await self.verdicts.admit(pull, desc, raw, tag)
        except TimeoutError:
            slow = UpstreamSlowError(pull.upstream.namespace, FETCH_WITHIN)
            raise pull.failure(slow, called(reference), reference) from None
        return desc.digest

    def _repository(self, name: RepositoryName) -> BuiltinRepository:
        return self._store.repository(name, children=Children.ON_DEMAND)

    async def _fetch(self, pull: Pull, reference: Tag | Digest) -> Outcome:
        key = (pull.name, reference)
        refused = self._refused_now(pull, key)
        if refused is not None:
            raise refused
        try:
            return await self._flights.run(key, partial(self._get, pull, reference))
        except RegsyncError as error:
            raise pull.failure(error, called(reference), reference) from error

    async def _revalidate(self, pull: Pull, key: _Key, here: Descriptor) -> Prepared:
        until, why = max(self._silent.get(one, (0.0, "")) for one in (pull.name, key))
        if self._clock.monotonic() < until and self._may_be_stale(pull, key):
            return _stale(pull, why)
        try:
            outcome = await self._flights.run(key, partial(self._ask, pull, key[1], here))
        except ContentNotFoundError as error:
            raise pull.failure(error, called(key[1]), key[1]) from error
        except NotLetPassError as error:
            return _holding(pull, error)
        except RegsyncError as error:
            if not self._may_be_stale(pull, key):
                raise pull.failure(error, called(key[1]), key[1]) from error
            _log.warning("%s:%s is served as it was last seen: %s", pull.name, key[1], error)
            why = told(error)
            # That one manifest cannot be verified says nothing of other tags.
            self._note_silence(key if isinstance(error, PolicyNotAskedError) else pull.name, why)
            return _stale(pull, why)
        self._silent.pop(pull.name, None)
        self._silent.pop(key, None)
        return Prepared(outcome)

    async def _ask(self, pull: Pull, reference: Tag | Digest, here: Descriptor) -> Outcome:
        """See whether the tag is where it was; fetch what it points to now if it is not."""
        source = pull.upstream.source(pull.name)
        try:
            with fail_after(ASK_WITHIN):
                found = await source.resolve(reference)
        except TimeoutError:
            raise UpstreamSlowError(source.name, ASK_WITHIN) from None
        except ContentNotFoundError:
            self._note((pull.name, reference), is_there=False)
            raise
        key = (pull.name, reference)
        if found.digest == here.digest:
            self._note(key, is_there=True)
            self._kept_back.pop(key, None)
            return Outcome.CHECKED
        kept = self._refused_now(pull, key)
        if kept is not None and kept.denial.digest == found.digest:
            self._note(key, is_there=True)
            raise kept
        return await self._get(pull, reference)

    async def _get(self, pull: Pull, reference: Tag | Digest) -> Outcome:
        source, key = pull.upstream.source(pull.name), (pull.name, reference)
        tag = None if isinstance(reference, Digest) else reference
        try:
            with fail_after(FETCH_WITHIN):
                desc, raw = await source.manifest(reference)
                await self.verdicts.admit(pull, desc, raw, tag)
        except TimeoutError:
            raise UpstreamSlowError(source.name, FETCH_WITHIN) from None
        except ContentNotFoundError:
            self._note(key, is_there=False)
            raise
        except NotLetPassError as error:
            self._keep_back(pull, key, error)
            raise
        self._kept_back.pop(key, None)
        parsed = verified_manifest(raw, desc, where=source.name)
        repository = self._repository(pull.name)
        if isinstance(reference, Digest):  # nothing has to be remembered of it: it is here now
            await repository.put_manifest(parsed, ())
        else:
            await repository.put_manifest(parsed, (reference,))
            self._note(key, is_there=True)
        return Outcome.FETCHED

    def _note(self, key: _Key, *, is_there: bool) -> None:
        self._words[key] = _Word(self._clock.monotonic(), is_there)
        self._words.move_to_end(key)
        while len(self._words) > MAX_WORDS:
            self._words.popitem(last=False)

    def _keep_back(self, pull: Pull, key: _Key, error: NotLetPassError) -> None:
        assert pull.required is not None  # noqa: S101 - else nobody refuses
        self._note(key, is_there=True)
        self._kept_back[key] = _KeptBack(self._clock.monotonic(), error, pull.required.key)
        self._kept_back.move_to_end(key)
        while len(self._kept_back) > MAX_WORDS:
            self._kept_back.popitem(last=False)

    def _kept(self, pull: Pull, key: _Key) -> _KeptBack | None:
        """What was last refused under a name, by the policies that there are now."""
        kept = self._kept_back.get(key)
        if kept is None or pull.required is None or kept.required != pull.required.key:
            return None
        return kept

    def _refused_now(self, pull: Pull, key: _Key) -> NotLetPassError | None:
        """What was refused so lately that nobody is asked again."""
        kept = self._kept(pull, key)
        return kept.error if kept is not None and self._clock.monotonic() - kept.at < REFUSED_FOR else None

    def _note_silence(self, of: RepositoryName | _Key, why: str) -> None:
        now = self._clock.monotonic()
        if len(self._silent) >= MAX_WORDS:
            self._silent = {one: said for one, said in self._silent.items() if said[0] > now}
        self._silent[of] = (now + SILENT_FOR, why)

    def _is_fresh(self, pull: Pull, key: _Key) -> bool:
        word = self._words.get(key)
        if word is None or not word.is_there or self._since(word) >= pull.upstream.max_age:
            return False
        return key not in self._kept_back or self._kept(pull, key) is not None

    def _is_missing(self, pull: Pull, key: _Key) -> bool:
        """Whether the last word was that it is not there, and there is no asking again."""
        word = self._words.get(key)
        if word is None or word.is_there:
            return False
        return not pull.may_fetch or self._since(word) < MISSING_FOR

    def _may_be_stale(self, pull: Pull, key: _Key) -> bool:
        """Whether what is here may be served although the upstream does not say so now."""
        word = self._words.get(key, _Word(self._started, is_there=True))
        return word.is_there and self._since(word) < pull.upstream.max_stale

    def _since(self, word: _Word) -> float:
        return self._clock.monotonic() - word.at


async def _held(repository: BuiltinRepository, reference: Tag | Digest) -> Descriptor | None:
    try:
        return (await repository.manifest(reference))[0]
    except ContentNotFoundError:
        return None


def _stale(pull: Pull, why: str) -> Prepared:
    warning = f"{pull.upstream.namespace} cannot be asked now; this is what it last had: {why}"
    return Prepared(Outcome.STALE, warning)


def _holding(pull: Pull, error: NotLetPassError) -> Prepared:
    denial = error.denial
    warning = (
        f"{pull.upstream.namespace} has {denial.digest} now, which policy {denial.policy} refuses; "
        f"this is the last that passed: {denial.reason}"
    )
    return Prepared(Outcome.HELD, warning, denial)
