"""What goes wrong between regsync and a registry, by what to do about it.

Messages hold the registry, the request without its query, and the registry's own words, bounded and
without control characters. They never hold headers, credentials or tokens.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from regsync.errors import DeferredError, DeniedError, RegsyncError, TemporaryError

MAX_SHOWN = 300  # characters of a registry's own words in a message


class RegistryError(RegsyncError):
    """Root of errors about talking to a registry."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self._hint = hint

    @property
    def hint(self) -> str | None:
        """What to do next, where it is known."""
        return self._hint or self.usual_hint


class RegistryUnreachableError(RegistryError, TemporaryError):
    """No answer: no such host, refused, reset, or cut off while the request was being sent."""

    usual_hint = "is it up, and are name, port and proxy right? without TLS its url is written http://…"


class UnknownHostError(RegistryError):
    """The name of the host, or of the proxy on the way to it, does not exist. A name server's silence is
    a RegistryUnreachableError: that may pass.
    """

    def __init__(self, where: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{where}: {reason}", hint=hint)
        self.reason = reason

    usual_hint = "a typing error in the name, or a name server that this machine does not ask"


class RegistryTimeoutError(RegistryError, TemporaryError):
    """Nothing came for too long."""


class CutShortError(RegistryError, TemporaryError):
    """The answer's body ended before its end; what came before is good."""


class WaitTooLongError(RegistryError, DeferredError):
    """The registry wants a wait longer than this run may wait (`limits.maxWait`)."""

    def __init__(self, where: str, seconds: float, max_wait: float) -> None:
        message = f"{where} asks to wait {seconds:.0f} s; limits.maxWait allows {max_wait:.0f} s"
        super().__init__(message, hint="run again later, or raise limits.maxWait of the registry")
        self.seconds = seconds


class TlsError(RegistryError):
    """The TLS handshake failed: the certificate, ours or theirs, is not accepted."""


class TooLargeError(RegistryError):
    """The answer is longer than what is read of its kind."""

    def __init__(self, where: str, limit: int) -> None:
        super().__init__(f"{where}: the answer is longer than {limit} bytes, the most that is read")
        self.limit = limit


class UnsafeRedirectError(RegistryError):
    """The registry, or its token realm, sends us to where requests must not go."""


class CredentialsError(RegistryError):
    """Credentials are configured but cannot be read."""


class CredentialHelperError(CredentialsError):
    """A credential helper is missing, hangs, fails, or prints what nobody can read."""


class AnswerError(RegistryError):
    """The registry answered, and not with what was asked for. `codes` are its own error codes."""

    def __init__(
        self, message: str, *, status: int, codes: Sequence[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status, self.codes = status, tuple(codes)


class UnauthorizedError(AnswerError, DeniedError):
    """401: the credentials, or having none, are not accepted."""


class ExpiredTokenError(UnauthorizedError, TemporaryError):
    """401 to a request whose body cannot be sent twice; another like it carries a new token."""


class ForbiddenError(AnswerError, DeniedError):
    """403: who we are is known, and may not do this."""

    usual_hint = "give the account the right; some registries answer so for what does not exist"


class NotFoundError(AnswerError):
    """404: no such repository, manifest or blob."""


class RejectedError(AnswerError):
    """Another 4xx: the request itself is refused."""


class UnexpectedAnswerError(AnswerError):
    """An answer that a registry does not give, such as HTML with 200."""

    usual_hint = "a login page, a proxy or another service may answer there: look with curl"

    def __init__(
        self, message: str, *, status: int = 200, codes: Sequence[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, status=status, codes=codes, hint=hint)


class RateLimitedError(AnswerError, TemporaryError):
    """429, or a quota used up. `retry_after` is the wait in seconds that was asked for, if any."""

    def __init__(
        self, message: str, *, status: int = 429, codes: Sequence[str] = (), retry_after: float | None = None
    ) -> None:
        super().__init__(message, status=status, codes=codes)
        self.retry_after = retry_after


class RegistryFailedError(AnswerError, TemporaryError):
    """408, 499 or 5xx: the registry, or a proxy before it, failed. `retry_after` is as with a 429."""

    def __init__(
        self, message: str, *, status: int, codes: Sequence[str] = (), retry_after: float | None = None
    ) -> None:
        super().__init__(message, status=status, codes=codes)
        self.retry_after = retry_after


def shown_url(url: str) -> str:
    """A URL fit for a message: no user, no query (both may hold secrets), bounded.

    Nothing of one in which a password may have ended the host early: at an unescaped `/`, `?` or `#`.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where what stands in its place is none
    except ValueError:
        return "(a malformed URL)"
    if "@" in parts.path or "@" in parts.fragment or ("@" in parts.query and not parts.path):
        return "(a malformed URL)"
    return shown(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


def shown(text: str, limit: int = MAX_SHOWN) -> str:
    """Words from outside, fit for a terminal and a log: one line, printable, bounded."""
    if len(text) <= limit and text.isprintable() and " " not in text:
        return text  # every URL that is asked for, on the way to every request
    clean = "".join(character if character.isprintable() else " " for character in text[: 4 * limit])
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
