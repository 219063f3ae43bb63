"""Credential helpers: programs named `docker-credential-…` that know a registry's password.

The protocol: `get` with the server on stdin prints JSON on stdout; exit code 0, or else a sentence in
place of the JSON. Source: docker-credential-helpers, README. What a helper prints is never shown when
it exits with 0, since it is a secret; otherwise it is what a person needs to put things right.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

import anyio
from anyio.abc import ByteReceiveStream, Process

from regsync.clock import Clock
from regsync.content.single_flight import SingleFlight
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.remote.credentials import Credentials
from regsync.remote.errors import CredentialHelperError, shown

TIME_LIMIT = 30.0  # seconds
MAX_OUTPUT = 64 * 1024  # bytes
REMEMBERED = 3600.0  # seconds; ECR's passwords are good for 12 hours, those of roles for less
IDENTITY_TOKEN_USER = "<token>"  # noqa: S105 - the name that says the secret is an identity token
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HAVE_NONE = ("credentials not found", "no credentials", "no basic auth credentials")


class CredentialHelpers:
    """Asks helpers, each once an hour for each server; one that failed is not asked again.

    What is wrong with a helper takes a person to put right, and finding out may take as long as
    `time_limit`: each round of requests would wait that long again.
    """

    def __init__(
        self, clock: Clock, *, environ: Mapping[str, str] | None = None, time_limit: float = TIME_LIMIT
    ) -> None:
        self._clock, self._environ, self._time_limit = clock, environ, time_limit
        self._known: dict[tuple[str, str], tuple[Credentials | None, float]] = {}
        self._failed: dict[tuple[str, str], CredentialHelperError] = {}
        self._flights: SingleFlight[tuple[str, str], Credentials | None] = SingleFlight()

    async def get(self, name: str, server: str) -> Credentials | None:
        """What `docker-credential-<name>` knows of `server`; None where it knows nothing.

        Raises CredentialHelperError where it is missing, hangs, fails or prints garbage, or once did.
        """
        key = (name, server)
        if (failure := self._failed.get(key)) is not None:
            raise CredentialHelperError(str(failure), hint=failure.hint)
        known = self._known.get(key)
        if known is not None and known[1] > self._clock.monotonic():
            return known[0]

        async def ask() -> Credentials | None:
            try:
                found = await self._ask(name, server)
            except CredentialHelperError as error:
                self._failed[key] = error.with_traceback(None)
                raise
            self._known[key] = (found, self._clock.monotonic() + REMEMBERED)
            return found

        return await self._flights.run(key, ask)

    def forget(self) -> None:
        """Ask anew next time those that answered."""
        self._known.clear()

    async def _ask(self, name: str, server: str) -> Credentials | None:
        if _NAME.fullmatch(name) is None:
            raise CredentialHelperError(f"{shown(name, 80)!r} is not a name of a credential helper")
        program = f"docker-credential-{name}"
        code, output = await self._run(program, server)
        if code == 0:
            return _read(program, output)
        said = shown(output.decode("utf-8", "replace"))
        if any(phrase in said.lower() for phrase in _HAVE_NONE):
            return None
        message = f"{program} failed for {server} with exit code {code}"
        raise CredentialHelperError(f"{message}: {said}" if said else message)

    async def _run(self, program: str, server: str) -> tuple[int, bytes]:
        try:
            process = await anyio.open_process(
                [program, "get"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environ,
                start_new_session=True,  # so that what it starts ends with it
            )
        except FileNotFoundError as cause:
            hint = f"install {program}, or remove it from credsStore and credHelpers of Docker's config.json"
            raise CredentialHelperError(f"{program} is not on PATH", hint=hint) from cause
        except OSError as cause:
            raise CredentialHelperError(f"{program} cannot be run: {cause.strerror}") from cause
        try:
            with anyio.fail_after(self._time_limit):
                return await _converse(process, program, server)
        except TimeoutError as cause:
            message = f"{program} gave no answer for {server} within {self._time_limit:.0f} s"
            raise CredentialHelperError(message) from cause
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)


async def _converse(process: Process, program: str, server: str) -> tuple[int, bytes]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("the pipes were asked for")
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it may not read its input
        await process.stdin.send(server.encode())
    await process.stdin.aclose()
    output = await _bounded(process.stdout, program)
    return await process.wait(), output


async def _bounded(stream: ByteReceiveStream, program: str) -> bytes:
    pieces = []
    size = 0
    async for piece in stream:
        size += len(piece)
        if size > MAX_OUTPUT:
            raise CredentialHelperError(f"{program} printed more than {MAX_OUTPUT} bytes")
        pieces.append(piece)
    return b"".join(pieces)


async def _end(process: Process) -> None:
    """Whatever still runs of it, and of what it started, ends now."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.aclose()


def _read(program: str, output: bytes) -> Credentials | None:
    try:
        document = loads(output)
    except InvalidJSONError:
        # `from None`: the cause would carry what was printed, which may be a secret.
        raise CredentialHelperError(f"{program} printed something that is not JSON") from None
    if not isinstance(document, dict):
        raise CredentialHelperError(f"{program} printed JSON that is not an object")
    username, secret = document.get("Username"), document.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str):
        raise CredentialHelperError(f"{program} printed JSON without Username and Secret")
    if not secret:
        return None
    if username == IDENTITY_TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username, secret)
