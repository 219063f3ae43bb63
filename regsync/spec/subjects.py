"""Subjects of access rules: whom a rule is for, as text, and as a value."""

from dataclasses import dataclass

from regsync.errors import SpecError
from regsync.spec.globs import InvalidGlobError, compile_glob
from regsync.spec.problems import nearest
from regsync.spec.server import ServerAuth, Subject, SubjectKind

_FORMS = "anonymous, *, user:NAME, group:NAME or claim:KEY=GLOB"
_WORDS = {"anonymous": SubjectKind.ANONYMOUS, "*": SubjectKind.AUTHENTICATED}


class InvalidSubjectError(SpecError, ValueError):
    """The text is no subject, or names what nobody can be; `guess` is what was probably meant."""

    def __init__(self, cause: str, guess: str | None = None) -> None:
        super().__init__(cause)
        self.guess = guess


@dataclass(frozen=True, slots=True)
class Known:
    """What subjects can be made of, by the logins that there are."""

    auth: ServerAuth

    @property
    def issuers(self) -> list[str]:
        """Their names."""
        return [one.name for one in self.auth.jwt]

    def issuer_of(self, text: str) -> str | None:
        """The issuer whose name stands before a colon."""
        return next((name for name in self.issuers if text.startswith(f"{name}:")), None)


def parse_subject(text: str, known: Known) -> Subject:
    """Read one; raises InvalidSubjectError, also for what no login can ever be."""
    word = _WORDS.get(text)
    if word is not None:
        if word is SubjectKind.AUTHENTICATED:
            _refuse_without_logins(text, known)
        return Subject(word)
    kind, colon, name = text.partition(":")
    if not colon or not name or kind not in ("user", "group", "claim"):
        guess = nearest(kind, ["user", "group", "claim", "anonymous"])
        raise InvalidSubjectError(f"expected {_FORMS}, found {text[:80]!r}", guess)
    _refuse_without_logins(text, known)
    match kind:
        case "user":
            return _user(name, known)
        case "group":
            return _group(name, known)
        case _:
            return _claim(name, known)


def _refuse_without_logins(text: str, known: Known) -> None:
    if known.auth == ServerAuth():
        raise InvalidSubjectError(f"{text[:80]!r} is nobody: without auth there is only anonymous")


def _user(name: str, known: Known) -> Subject:
    if ":" not in name and known.auth.htpasswd is None:
        raise InvalidSubjectError(_of_an_issuer("user", name, known))
    if ":" in name and known.issuer_of(name) is None:
        raise InvalidSubjectError(_no_issuer("user", name, known))
    return Subject(SubjectKind.USER, name)


def _group(name: str, known: Known) -> Subject:
    if name not in known.auth.groups and known.issuer_of(name) is None:
        if ":" in name:
            raise InvalidSubjectError(_no_issuer("group", name, known))
        message = f"there is no group {name[:80]!r} in auth.groups"
        if known.issuers:
            message += f"; {_of_an_issuer('group', name, known)}"
        raise InvalidSubjectError(message, nearest(name, known.auth.groups))
    return Subject(SubjectKind.GROUP, name)


def _claim(text: str, known: Known) -> Subject:
    if not known.issuers:
        raise InvalidSubjectError("claims are in tokens: declare their issuer under auth.jwt")
    issuer = known.issuer_of(text)
    rest = text if issuer is None else text[len(issuer) + 1 :]
    if issuer is None and len(known.issuers) > 1:
        raise InvalidSubjectError(
            f"of whose tokens? expected claim:ISSUER:KEY=GLOB, with one of {', '.join(known.issuers)}"
        )
    key, equals, glob = rest.partition("=")
    if not key or not equals:
        raise InvalidSubjectError(f"expected claim:KEY=GLOB, found {text[:80]!r}")
    try:
        compile_glob(glob)
    except InvalidGlobError as cause:
        raise InvalidSubjectError(str(cause)) from cause
    return Subject(SubjectKind.CLAIM, key, glob, issuer or known.issuers[0])


def _of_an_issuer(kind: str, name: str, known: Known) -> str:
    named = " or ".join(f"{kind}:{issuer}:{name[:80]}" for issuer in known.issuers[:3])
    return f"one that an issuer vouches for is {named}"


def _no_issuer(kind: str, name: str, known: Known) -> str:
    names = ", ".join(known.issuers) or "none"
    return f"{kind}:{name[:80]}: no issuer has such a name; those of auth.jwt are {names}"
