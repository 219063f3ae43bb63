"""Platforms: `os/architecture[/variant]`, normalised so that equal ones compare equal.

Source: image-spec, "Image Index"; the normalisation is containerd's (`platforms.Normalize`).
"""

import re
from dataclasses import dataclass
from typing import Self

from regsync.errors import RegsyncError

_PART = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_OS_ALIASES = {"macos": "darwin"}
_ARCHITECTURE_ALIASES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
UNKNOWN = "unknown"


class InvalidPlatformError(RegsyncError, ValueError):
    """The text is no platform."""

    def __init__(self, text: str) -> None:
        super().__init__(f"invalid platform {text[:80]!r}: expected os/architecture[/variant]")


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """Where content runs. Values come from `of` or `parse`, which normalise."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "", os_version: str = "") -> Self:
        """Normalise: aliases of systems and architectures, `arm64/v8` = `arm64`, `arm` = `arm/v7`."""
        os = _OS_ALIASES.get(os.lower(), os.lower())
        architecture, variant = architecture.lower(), variant.lower()
        architecture, implied = _ARCHITECTURE_ALIASES.get(architecture, (architecture, ""))
        variant = variant or implied
        match architecture, variant:
            case "arm64", "8" | "v8":
                variant = ""
            case "amd64", "v1":
                variant = ""
            case "arm", "":
                variant = "v7"
            case "arm", "5" | "6" | "7" | "8":
                variant = f"v{variant}"
        return cls(os, architecture, variant, os_version)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `os/architecture[/variant]`; raises InvalidPlatformError."""
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(_PART.fullmatch(part) for part in parts):
            raise InvalidPlatformError(text)
        return cls.of(*parts)

    @property
    def is_well_formed(self) -> bool:
        """Whether every part that is there has the form of one; outsiders write what they like."""
        parts = (self.os, self.architecture, self.variant or "-", self.os_version or "-")
        return all(_PART.fullmatch(part) for part in parts)

    @property
    def is_unknown(self) -> bool:
        """Whether this marks content that runs nowhere, such as BuildKit's attestations."""
        return self.os == UNKNOWN and self.architecture == UNKNOWN

    def matches(self, wanted: "Platform") -> bool:
        """Whether content for this platform is what `wanted` asks for; an OS version only if it names one."""
        return (self.os, self.architecture, self.variant) == (
            wanted.os,
            wanted.architecture,
            wanted.variant,
        ) and wanted.os_version in ("", self.os_version)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
