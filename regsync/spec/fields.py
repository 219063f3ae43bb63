"""Types of keys for the pydantic models: each reads what people write and says what it expected."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from regsync.oci.digest import HEX_LENGTH, Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import RepositoryName, plain_host
from regsync.oci.reference import Tag as ImageTag
from regsync.spec import scalars
from regsync.spec.globs import compile_glob
from regsync.spec.nodes import describe
from regsync.spec.problems import nearest
from regsync.spec.regexes import compile_regex
from regsync.spec.renaming import parse_template
from regsync.spec.versions import parse_range

MAX_NAME_LENGTH = 63  # characters

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_REGISTRY_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ARTIFACT_TYPE = re.compile(r"[a-zA-Z0-9!#$&^_.+-]{1,127}/[a-zA-Z0-9!#$&^_.+-]{1,127}")
_WRITTEN = ["string", "number"]  # YAML reads 1.10 as a number; regsync takes it as written


def shape(value: Any) -> str:
    """Which of several forms a value has: what tells them apart in unions."""
    match value:
        case dict():
            return "mapping"
        case list():
            return "list"
        case _:
            return "text"


Text = Tag("text")
List = Tag("list")
Mapping = Tag("mapping")


def one_of(expected: str) -> Discriminator:
    """Choose a form by shape; `expected` is what a message says of the forms."""
    return Discriminator(shape, custom_error_type="wrong_form", custom_error_message=f"expected {expected}")


def _short(value: object) -> str:
    text = scalars.text(value)
    if not text:
        raise ValueError("expected text, found nothing")
    if len(text) > 1024:
        raise ValueError("expected at most 1024 characters")
    return text


def mirror_name(value: object) -> str:
    """A name of a mirror or settings."""
    text = _short(value)
    if len(text) > MAX_NAME_LENGTH or _NAME.fullmatch(text) is None:
        raise ValueError(
            f"expected at most {MAX_NAME_LENGTH} of a-z 0-9 . _ -, first and last a letter or digit, "
            f"found {text[:80]!r}"
        )
    return text


def registry_name(value: object) -> str:
    """A name of a registry or group, which must not look like a host."""
    text = mirror_name(value)
    if _REGISTRY_NAME.fullmatch(text) is None or text == "localhost":
        raise ValueError(
            f"{text!r} looks like a host: names of registries have no '.' and are not 'localhost'"
        )
    return text


def checked(check: Any) -> BeforeValidator:
    """Short text that `check` reads without an error."""

    def read(value: object) -> str:
        text = _short(value)
        check(text)
        return text

    return BeforeValidator(read)


def long_text(check: Any) -> BeforeValidator:
    """Text of any length that `check` reads without an error."""

    def read(value: object) -> str:
        text = scalars.text(value)
        check(text)
        return text

    return BeforeValidator(read)


def _env_name(text: str) -> None:
    if _ENV_NAME.fullmatch(text) is None:
        raise ValueError("expected the name of an environment variable")


def _artifact_type(text: str) -> None:
    if _ARTIFACT_TYPE.fullmatch(text) is None:
        raise ValueError(
            f"expected an artifact type such as application/vnd.cyclonedx+json, found {text[:80]!r}"
        )


def _host(value: object) -> str:
    text = _short(value)
    if "/" in text or "@" in text:  # not repeated: it may hold a password
        raise ValueError("expected a host, such as sso.example.com, without a scheme or a path")
    return plain_host(text)


def _tag(value: object) -> ImageTag:
    return value if isinstance(value, ImageTag) else ImageTag.parse(_short(value))


def _repository(value: object) -> RepositoryName:
    return value if isinstance(value, RepositoryName) else RepositoryName.parse(_short(value))


def _digest(value: object) -> Digest:
    return value if isinstance(value, Digest) else Digest.parse(_short(value))


def _platform(value: object) -> Platform:
    return value if isinstance(value, Platform) else Platform.parse(_short(value))


def choice(*known: str) -> BeforeValidator:
    """One of a few words; the nearest is named when it is none."""

    def read(value: object) -> str:
        text = scalars.text(value)
        if text not in known:
            guess = nearest(text, known)
            hint = f"; did you mean {guess!r}?" if guess else ""
            raise ValueError(f"expected one of {', '.join(known)}, found {describe(value)}{hint}")
        return text

    return BeforeValidator(read)


def schema(kind: Any, **more: Any) -> WithJsonSchema:
    """What editors are told of a field: its JSON type, and more of JSON Schema."""
    return WithJsonSchema({"type": kind, **more})


def between(kind: str, low: float, high: float) -> tuple[Any, WithJsonSchema]:
    """Bounds of a number, for pydantic and for editors."""
    return Field(ge=low, le=high), schema(kind, minimum=low, maximum=high)


Word = Annotated[str, BeforeValidator(_short), schema(_WRITTEN)]
MirrorName = Annotated[
    str,
    BeforeValidator(mirror_name),
    schema(_WRITTEN, pattern=f"^{_NAME.pattern}$", maxLength=MAX_NAME_LENGTH),
]
RegistryName = Annotated[
    str,
    BeforeValidator(registry_name),
    schema(_WRITTEN, pattern=f"^{_REGISTRY_NAME.pattern}$", maxLength=MAX_NAME_LENGTH),
]
EnvName = Annotated[str, checked(_env_name), schema("string", pattern=f"^{_ENV_NAME.pattern}$")]
Host = Annotated[str, BeforeValidator(_host), schema("string", examples=["sso.example.com"])]
ArtifactType = Annotated[
    str, checked(_artifact_type), schema("string", examples=["application/vnd.cyclonedx+json"])
]
Glob = Annotated[str, checked(compile_glob), schema(_WRITTEN, examples=["v1.*"])]
Regex = Annotated[str, checked(compile_regex), schema("string", examples=["(?P<version>.+)-alpine"])]
Range = Annotated[str, checked(parse_range), schema(_WRITTEN, examples=[">=1.25 <2", "^3.1"])]
Rename = Annotated[str, checked(parse_template), schema("string", examples=["{tag}-{digest:12}"])]
TagField = Annotated[
    ImageTag, BeforeValidator(_tag), schema(_WRITTEN, pattern="^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$")
]
RepositoryField = Annotated[
    RepositoryName, BeforeValidator(_repository), schema("string", examples=["library/nginx"])
]
DigestField = Annotated[
    Digest,
    BeforeValidator(_digest),
    schema(
        "string",
        pattern="^(" + "|".join(f"{name}:[a-f0-9]{{{length}}}" for name, length in HEX_LENGTH.items()) + ")$",
    ),
]
PlatformField = Annotated[
    Platform,
    BeforeValidator(_platform),
    schema("string", pattern="^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?$"),
]
Integer = Annotated[int, BeforeValidator(scalars.integer), schema("integer")]
Number = Annotated[float, BeforeValidator(scalars.number), schema("number")]
Boolean = Annotated[bool, BeforeValidator(scalars.boolean), schema("boolean")]
Duration = Annotated[
    timedelta,
    BeforeValidator(scalars.duration),
    schema("string", pattern="^[0-9]{1,9}[smhdwy]$", examples=["90s", "7d"]),
]
Size = Annotated[
    int,
    BeforeValidator(scalars.size),
    schema("string", pattern="^[0-9]{1,9}(\\.[0-9]{1,3})? ?([kKMGT]i?)?B$", examples=["20MiB"]),
]
