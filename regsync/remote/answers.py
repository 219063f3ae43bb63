"""Turning an answer that was not asked for into the error that says what it was."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from regsync.remote.errors import (
    AnswerError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RegistryFailedError,
    RejectedError,
    UnauthorizedError,
    UnexpectedAnswerError,
    shown,
)

MAX_ERROR_BODY = 64 * 1024  # bytes; error bodies of whole HTML pages exist (REGISTRIES.md, 49)
TEMPORARY_STATUSES = frozenset({408, 499, 500, 502, 503, 504, 522})  # 499: nginx, 522: Cloudflare
_REASONS = {
    407: "the proxy wants credentials: http://user:password@… in HTTP_PROXY",
    413: "the registry, or a proxy before it, limits the size of a request",
}
_MAX_ERRORS = 20  # of one answer's `errors`


@dataclass(frozen=True, slots=True)
class Complaint:
    """A registry's own words for what is wrong."""

    codes: tuple[str, ...]
    text: str  # for people; may be empty

    @classmethod
    def read(cls, body: bytes, content_type: str | None) -> "Complaint":
        """Read `{"errors": [{"code", "message", "detail"}]}`, and whatever comes in its place.

        Source: distribution-spec 1.1, "Error Codes". Never raises.
        """
        errors = _errors(body)
        if errors is None:
            return cls((), _plain(body, content_type or ""))
        codes = tuple(shown(_text(error, "code"), 80) for error in errors if _text(error, "code"))
        said = [" ".join(filter(None, (_text(error, "code"), _message(error)))) for error in errors]
        return cls(codes, shown("; ".join(filter(None, said))))


def error_for(
    request: str, status: int, complaint: Complaint, *, retry_after: float | None = None
) -> AnswerError:
    """The error for an answer of `status` to `request` (`ghcr.io: GET https://…`)."""
    message = f"{request}: {status}" + (f": {complaint.text}" if complaint.text else "")
    codes = complaint.codes
    if status == 429 or "TOOMANYREQUESTS" in codes:
        return RateLimitedError(message, status=status, codes=codes, retry_after=retry_after)
    if status in TEMPORARY_STATUSES or status >= 500:
        return RegistryFailedError(message, status=status, codes=codes, retry_after=retry_after)
    if status == 401:
        hint = "check the credentials: spec.auth of the Registry, or `docker login`"
        return UnauthorizedError(message, status=status, codes=codes, hint=hint)
    if status == 403:
        return ForbiddenError(message, status=status, codes=codes)
    if status == 404:
        return NotFoundError(message, status=status, codes=codes)
    if 400 <= status < 500:
        return RejectedError(message, status=status, codes=codes, hint=_REASONS.get(status))
    return UnexpectedAnswerError(message, status=status, codes=codes)


def _errors(body: bytes) -> list[Mapping[str, object]] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    errors = document.get("errors")
    if isinstance(errors, list):
        return [error for error in errors[:_MAX_ERRORS] if isinstance(error, dict)]
    # OAuth2 servers answer {"error": …, "error_description": …}, others {"message": …}.
    for key in ("error_description", "message", "details", "error"):
        if isinstance(document.get(key), str):
            return [{"message": document[key]}]
    return None


def _text(error: Mapping[str, object], key: str) -> str:
    value = error.get(key)
    return value if isinstance(value, str) else ""


def _message(error: Mapping[str, object]) -> str:
    message = _text(error, "message")
    detail = error.get("detail")
    if isinstance(detail, str) and detail and detail not in message:
        return f"{message} ({detail})" if message else detail
    return message


def _plain(body: bytes, content_type: str) -> str:
    if "html" in content_type.lower() or body[:256].lstrip()[:1] == b"<":
        return "an HTML page" if body else ""
    return shown(body[:2048].decode("utf-8", "replace"))
