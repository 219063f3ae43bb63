"""Errors as clients of the distribution API see them (distribution-spec, "Error Codes")."""

import json
from collections.abc import Mapping

from regsync.content.durable import FilesExhaustedError, StorageError, StorageFullError
from regsync.content.errors import (
    ContentNotFoundError,
    DigestMismatchError,
    InterruptedStreamError,
    SizeMismatchError,
)
from regsync.content.references import ContentInUseError, MissingReferencesError
from regsync.errors import RegsyncError
from regsync.oci.digest import InvalidDigestError
from regsync.oci.manifest import InvalidManifestError
from regsync.server.message import BodyEndedError, BodyTooLargeError, QueryTooLongError, Response
from regsync.store import errors as store
from regsync.store.changes import TagFixedError
from regsync.store.claims import BytesGoneError
from regsync.store.sessions import OutOfOrderError, UploadBusyError, UploadUnknownError

JSON = (b"content-type", b"application/json")
RETRY_AFTER = 5  # seconds
TOO_MANY = "TOOMANYREQUESTS"  # the code of a login that came too soon after others that failed


class ApiError(RegsyncError):
    """A refusal with its status and code."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        detail: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.detail, self.headers = detail, headers or {}

    def response(self) -> Response:
        """As JSON."""
        entry: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            entry["detail"] = self.detail
        response = Response(self.status, [JSON], json.dumps({"errors": [entry]}).encode())
        for name, value in self.headers.items():
            response.add(name.lower().encode(), value)
        return response


def name_invalid(cause: str) -> ApiError:
    """400 for a repository's name."""
    return ApiError(400, "NAME_INVALID", cause)


def as_api_error(error: Exception, *, place: str) -> ApiError:
    """The answer to what the store raised; a defect is none of the client's business.

    `place` is what the store writes before a repository's name: a path of this machine, left out here.
    """
    if isinstance(error, ApiError):
        return error
    for kind, status, code in _KINDS:
        if isinstance(error, kind):
            said = _said(error).replace(place, "")
            return ApiError(status, code, said, detail=_detail(error), headers=_headers(error))
    return ApiError(500, "UNKNOWN", "the registry failed; its log has the cause under the request's id")


_KINDS: tuple[tuple[type[RegsyncError], int, str], ...] = (
    (MissingReferencesError, 400, "MANIFEST_BLOB_UNKNOWN"),
    (ContentInUseError, 405, "DENIED"),
    (ContentNotFoundError, 404, "MANIFEST_UNKNOWN"),
    (TagFixedError, 409, "TAG_IMMUTABLE"),
    (DigestMismatchError, 400, "DIGEST_INVALID"),
    (InvalidDigestError, 400, "DIGEST_INVALID"),
    (SizeMismatchError, 400, "SIZE_INVALID"),
    (InterruptedStreamError, 400, "SIZE_INVALID"),
    (InvalidManifestError, 400, "MANIFEST_INVALID"),
    (BodyEndedError, 408, "BLOB_UPLOAD_INVALID"),
    (BodyTooLargeError, 413, "SIZE_INVALID"),
    (QueryTooLongError, 400, "UNSUPPORTED"),
    (UploadUnknownError, 404, "BLOB_UPLOAD_UNKNOWN"),
    (UploadBusyError, 409, "BLOB_UPLOAD_INVALID"),
    (OutOfOrderError, 416, "BLOB_UPLOAD_INVALID"),
    (StorageFullError, 507, "STORAGE_FULL"),
    (FilesExhaustedError, 503, "UNAVAILABLE"),
    (store.StoreBusyError, 503, "UNAVAILABLE"),
    (BytesGoneError, 503, "UNAVAILABLE"),
)
_TO_RETRY = (
    BytesGoneError,
    FilesExhaustedError,
    StorageFullError,
    store.StoreBusyError,
)
# What names a path of this machine is for its log, not for clients.
_PRIVATE = (StorageError, store.StoreError, BytesGoneError)


def _said(error: RegsyncError) -> str:
    if isinstance(error, StorageFullError):
        return "the registry's storage is full; nothing was changed"
    if isinstance(error, _PRIVATE):
        return "the registry cannot do that now; try again"
    return str(error)


def _detail(error: RegsyncError) -> object:
    if isinstance(error, MissingReferencesError):
        return [{"digest": str(digest)} for digest in error.missing]
    return None


def _headers(error: RegsyncError) -> Mapping[str, str]:
    if isinstance(error, _TO_RETRY):
        return {"Retry-After": str(RETRY_AFTER)}
    if isinstance(error, OutOfOrderError):
        return {"Range": f"0-{max(error.offset - 1, 0)}"}
    return {}
