"""One client's wish for something of an upstream, and what it is told when that cannot be had."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from regsync.content.durable import StorageError
from regsync.content.errors import ContentNotFoundError
from regsync.errors import DeniedError, RegsyncError, TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.server.failures import RETRY_AFTER, ApiError
from regsync.server.required import Denial, Required
from regsync.server.upstreams import Upstream
from regsync.store.errors import StoreError

_log = logging.getLogger(__name__)


class Outcome(Enum):
    """What was done at an upstream for a request."""

    HERE = "here"  # nothing: what is here was answered
    CHECKED = "checked"  # it was asked, and what is here is what it has
    FETCHED = "fetched"  # it gave what was not here
    STALE = "stale"  # it could not be asked, and what is here was answered
    HELD = "held"  # policies refuse what it has now, and what is here was answered
    REFUSED = "refused"  # policies refuse what it has, and nothing else is here
    FAILED = "failed"  # what was asked for could not be had


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was done so that the store has it, what to warn the client of, and what policies refused.

    `digest` is that of the manifest that policies let pass: no other may be served for it.
    """

    outcome: Outcome
    warning: str | None = None
    denial: Denial | None = None
    digest: Digest | None = None


HERE = Prepared(Outcome.HERE)


@dataclass(frozen=True, slots=True)
class Pull:
    """Who may do what with a repository of an upstream.

    `refusal` is the answer to a client that may not make the server fetch; None for one that may.
    `stranger` is that to one for whose sake the upstream is asked nothing at all, not even for evidence.
    """

    name: RepositoryName  # here
    upstream: Upstream
    refusal: ApiError | None
    may_pull: Callable[[RepositoryName], bool]  # of other repositories of the store
    is_fixed: Callable[[Tag], bool]  # tags that stay where they are
    stranger: ApiError | None = None
    required: Required | None = None  # what its content has to meet

    @property
    def may_fetch(self) -> bool:
        """Whether the upstream is asked for the sake of this client."""
        return self.refusal is None

    def missing(self, what: str, thing: object) -> ApiError:
        """The answer for what is neither here nor at the upstream."""
        code = "BLOB_UNKNOWN" if what == "blob" else "MANIFEST_UNKNOWN"
        return ApiError(
            404, code, f"{self.name} has no {what} {thing}, and {self.upstream.namespace} neither"
        )

    def failure(self, error: RegsyncError, what: str, thing: object) -> RegsyncError:
        """What a client is told when the upstream, or storing what it gave, failed with `error`."""
        if isinstance(error, (ApiError, StorageError, StoreError)):
            return error
        if isinstance(error, ContentNotFoundError):
            return self.missing(what, thing)
        _log.warning("%s: %s %s is not to be had: %s", self.name, what, thing, error)
        said = f"{self.upstream.namespace} does not give {what} {thing}: {told(error)}"
        if isinstance(error, DeniedError):  # Docker Hub says so of what is not there
            return ApiError(404, self.missing(what, thing).code, said)
        if isinstance(error, TemporaryError):
            return ApiError(503, "UNAVAILABLE", said, headers={"Retry-After": str(RETRY_AFTER)})
        return ApiError(502, "UNAVAILABLE", said)


def told(error: RegsyncError) -> str:
    """Why an upstream failed, as clients are told: its addresses and its words are for the log alone."""
    if isinstance(error, ApiError):
        return error.message
    status = getattr(error, "status", None)  # that of an answer, where there was one
    if isinstance(status, int) and status >= 400:
        return f"it answered with {status}"
    return "it did not answer" if isinstance(error, TemporaryError) else "what it answers cannot be used"


def called(reference: Tag | Digest) -> str:
    """What a reference is one of, in messages."""
    return "manifest" if isinstance(reference, Digest) else "tag"
