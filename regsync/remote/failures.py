"""Why no connection came about: the words of a client library's causes, as our own errors."""

from collections.abc import Sequence

from regsync.remote.errors import (
    RegistryError,
    RegistryUnreachableError,
    TlsError,
    UnknownHostError,
    shown,
)

_PROXY_HINT = "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say what is asked through which proxy"
_NO_SUCH_NAME = ("not known", "no address associated", "does not resolve")  # not a name server's silence
_TLS_WORDS = ("certificate", "tls", "handshake", "corrupt message", "fatal alert")


def unconnected(
    causes: Sequence[str], where: str, *, proxy: str | None = None, hint: str | None = None
) -> RegistryError:
    """The error that causes, the innermost last, amount to; that one is the reason.

    `proxy` is the one through which it was asked, if any.
    """
    reason = shown(causes[-1])
    words = reason.lower()
    if any(word in words for word in _TLS_WORDS) and not reason.endswith("eof"):
        return TlsError(f"{where}: {reason}", hint=_tls_hint(words))
    hint = hint or (_PROXY_HINT if proxy else None)
    if any("resolving DNS" in cause for cause in causes) and any(one in words for one in _NO_SUCH_NAME):
        return UnknownHostError(where, reason, hint=hint)
    return RegistryUnreachableError(f"{where}: {reason}", hint=hint)


def _tls_hint(reason: str) -> str | None:
    if "unknownissuer" in reason or "self-signed" in reason or "issuer" in reason:
        return "the certificate is signed by an unknown authority: add tls.ca to the Registry"
    if "certificaterequired" in reason or "certificate required" in reason or "handshake failure" in reason:
        return "the registry wants a client certificate: add tls.cert and tls.key to the Registry"
    if "fatal alert" in reason and "unknownca" in reason:
        return "the registry does not accept the client certificate in tls.cert"
    if "notvalidforname" in reason or "not valid for name" in reason:
        return "the certificate is for another host name; name the registry as its certificate does"
    if "expired" in reason:
        return "the registry's certificate, or this machine's clock, is out of date"
    if "corrupt message" in reason or "invalidcontenttype" in reason:
        return "it does not speak TLS there; plain HTTP has to be written http:// in the Registry's url"
    return None
