"""Secrets: where they are, and reading them only when they are needed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from regsync.errors import RegsyncError
from regsync.regular_file import read_regular

MAX_SECRET_SIZE = 64 * 1024  # bytes


class MissingSecretError(RegsyncError):
    """The environment variable is not set, or the file cannot be read or is no secret."""

    usual_hint = "set it where regsync runs; a Registry without `auth` uses what `docker login` has left"

    def __init__(self, secret: "SecretRef", cause: str) -> None:
        place = f"{secret.wanted_by}: " if secret.wanted_by else ""
        super().__init__(f"{place}secret from {secret}: {cause}")


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Names an environment variable or a file that holds a secret; never holds the secret itself."""

    env: str | None = None
    file: Path | None = None  # absolute
    wanted_by: str = field(default="", compare=False, repr=False)  # the key and its position, for errors

    @classmethod
    def from_env(cls, name: str, wanted_by: str = "") -> Self:
        """The secret in the environment variable `name`."""
        return cls(env=name, wanted_by=wanted_by)

    @classmethod
    def from_file(cls, path: Path, wanted_by: str = "") -> Self:
        """The secret in the file at `path`."""
        return cls(file=path, wanted_by=wanted_by)

    def read(self, environ: Mapping[str, str] | None = None) -> str:
        """The secret, read now, so that a rotated one is seen. `environ` is the process's by default.

        One trailing newline of a file is not part of it. Raises MissingSecretError, which names the
        variable or file and never what is in it.
        """
        if self.env is not None:
            value = (os.environ if environ is None else environ).get(self.env)
            if not value:
                cause = "is not set" if value is None else "is empty"
                raise MissingSecretError(self, f"the variable {cause}")
            return value
        return self._read_file()

    def _read_file(self) -> str:
        assert self.file is not None  # noqa: S101 - one of the two is set
        try:
            raw = read_regular(self.file, MAX_SECRET_SIZE + 1)
        except OSError as cause:
            raise MissingSecretError(self, cause.strerror or "cannot be read") from cause
        if len(raw) > MAX_SECRET_SIZE:
            raise MissingSecretError(self, f"longer than {MAX_SECRET_SIZE} bytes")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            # `from None`: the cause would carry the bytes of the secret into a traceback.
            raise MissingSecretError(self, "not UTF-8 text") from None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise MissingSecretError(self, "the file is empty")
        return text

    def __str__(self) -> str:
        return f"environment variable {self.env}" if self.env is not None else f"file {self.file}"
