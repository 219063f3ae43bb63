"""Conditions in CEL, bounded in size and time (docs/decisions/0011-cel.md).

They are evaluated in a process of its own. A call waits for its answer, 2 s of CPU time at most, and
lets other threads run meanwhile: whoever has an event loop calls from a thread.
"""

import json
import marshal
import os
import re
import signal
import struct
import subprocess
import sys
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import BinaryIO, cast

from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.trust.envelopes import Image, Signer

MAX_LENGTH = 4096  # characters of one expression
MAX_PREDICATE = 8 << 20  # bytes of a statement, as it is handed over
MAX_STEPS = 10_000  # of comprehensions; the library's own bound, which cannot be moved
SECONDS = 2  # of CPU time for all conditions over one attestation; the worker keeps to it

_TOO_SLOW = f"it took longer than {SECONDS} s of a processor and was ended"
_MAX_SLOW = 1000  # of expressions and images that are remembered

_ESCAPED_NUL = b"\\u0000"  # the one way in which JSON can have it

# What it takes to find the library. No secret of ours is where what others wrote is evaluated.
_ENVIRONMENT = ("HOME", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE")
_WORKER = Path(__file__).with_name("expression_worker.py")
_ENDED_BY_TIME = (-signal.SIGPROF, -signal.SIGALRM)
_COMPILING = re.compile(r"ERROR: <input>:(?P<line>-?\d+):(?P<column>-?\d+): (?P<what>[^\n\[]*)")
_NO_KEY = re.compile(r'Key not found in map : "(?P<key>[^"]*)"')
_STATUS = re.compile(r"^error: (?:[A-Z_]+: )?|\s*\[[A-Z_]+\]$")


class InvalidExpressionError(RegsyncError):
    """The text is no expression that gives a bool."""

    def __init__(self, expression: str, cause: str) -> None:
        super().__init__(f"invalid CEL expression {expression[:120]!r}: {cause}")
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Variables:
    """What an expression speaks of: one attestation, proven to be of `signer`."""

    statement: Mapping[str, object]
    payload: bytes  # the same, as it was signed
    signer: Signer
    signed_at: datetime | None  # a verified time
    image: Image
    now: datetime


class Expressions:
    """The expressions of a run's policies, each compiled once. For use from any thread, one at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._slow: OrderedDict[tuple[str, Digest], None] = OrderedDict()

    def check(self, expression: str) -> None:
        """Raise InvalidExpressionError where it does not compile, or gives no bool."""
        if len(expression) > MAX_LENGTH:
            raise InvalidExpressionError(expression, f"longer than {MAX_LENGTH} characters")
        if "\0" in expression:
            raise InvalidExpressionError(expression, "it holds the character U+0000")
        (found,) = self._ask("check", [expression], {})
        if found is not None:
            raise InvalidExpressionError(expression, _compile_error(found))

    def unmet(self, expressions: Sequence[str], variables: Variables) -> str | None:
        """Why not all of these hold, with the expression and the path; None where they do."""
        if not expressions:
            return None
        if _holds_nul(variables):
            return f"it holds the character U+0000, at which CEL's library ends texts, in: {expressions[0]}"
        image = variables.image.digest
        for expression in expressions:
            if (expression, image) in self._slow:
                return f"{_TOO_SLOW} over another attestation of the image, in: {expression}"
        answers = self._ask("evaluate", expressions, _as_cel(variables))
        for expression, found in zip(expressions, answers, strict=True):
            if found == f"error: {_TOO_SLOW}":
                self._remember_slow(expression, image)
            if found is not None:
                return f"{_explained(expression, found)} in: {expression}"
        return None

    def _remember_slow(self, expression: str, image: Digest) -> None:
        """An image may have a thousand attestations; two seconds for each would be half an hour."""
        self._slow[expression, image] = None
        if len(self._slow) > _MAX_SLOW:
            self._slow.popitem(last=False)

    def _ask(self, order: str, expressions: Sequence[str], variables: dict[str, object]) -> list[str | None]:
        request = marshal.dumps((order, list(map(str, expressions)), variables))
        if len(request) > MAX_PREDICATE + MAX_LENGTH * len(expressions):
            too_large = (
                f"error: the statement comes to {len(request)} bytes; at most {MAX_PREDICATE} are looked at"
            )
            return [too_large, *[None] * (len(expressions) - 1)]
        with self._lock:
            process = self._running()
            try:
                return self._exchange(process, request, len(expressions))
            except BrokenPipeError:
                return [self._died(process)] * len(expressions)
            except BaseException:
                process.kill()  # what it has yet to say would be taken for the answer to another question
                raise

    def _exchange(self, process: subprocess.Popen[bytes], request: bytes, count: int) -> list[str | None]:
        stdin, stdout = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
        stdin.write(struct.pack(">I", len(request)) + request)
        stdin.flush()
        answers: list[str | None] = []
        for _ in range(count):
            line = stdout.readline()
            if not line.endswith(b"\n"):
                return answers + [self._died(process)] * (count - len(answers))
            answers.append(json.loads(line))
        return answers

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            # A session of its own: an interrupt of the terminal is for us to act on.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                [sys.executable, "-P", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
            weakref.finalize(self, _end, self._process)
        return self._process

    def _died(self, process: subprocess.Popen[bytes]) -> str:
        code = process.wait()
        _end(process)
        if code in _ENDED_BY_TIME:
            return f"error: {_TOO_SLOW}"
        return f"error: its evaluation broke down (exit status {code})"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the worker's input, which ends it, and wait for that."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
    process.wait()


def _holds_nul(variables: Variables) -> bool:
    """Whether a text may hold U+0000: the library takes what comes before it for the whole text."""
    signer = variables.signer
    names = (signer.issuer or "", signer.subject or "", *signer.extensions.values())
    return _ESCAPED_NUL in variables.payload or any("\0" in name for name in names)


def _as_cel(variables: Variables) -> dict[str, object]:
    signer, image, signed_at = variables.signer, variables.image, variables.signed_at
    return {
        "statement": variables.statement,
        "predicate": variables.statement.get("predicate"),
        "signer": {"issuer": signer.issuer, "subject": signer.subject, "extensions": dict(signer.extensions)},
        "signedAt": None if signed_at is None else signed_at.timestamp(),
        "image": {
            # Names are texts of types of their own, which do not travel.
            "registry": str(image.registry),
            "repository": str(image.repository),
            "tag": None if image.tag is None else str(image.tag),
            "digest": str(image.digest),
        },
        "now": variables.now.timestamp(),
    }


def _compile_error(message: str) -> str:
    found = _COMPILING.search(message)
    if found is None:
        return _STATUS.sub("", message).strip()
    what = found["what"].replace(" (in container '')", "").strip()
    return what if int(found["line"]) < 0 else f"line {found['line']}, column {found['column']}: {what}"


def _explained(expression: str, found: str) -> str:
    """An answer for a person, with the path that is not there as the expression has it."""
    missing = _NO_KEY.search(found)
    if found == "false":
        return "it is false"
    if "Iteration budget exceeded" in found:
        return f"it takes more than {MAX_STEPS} steps through lists"
    if "null_type" in found and re.search(r"\bsignedAt\b", expression):
        return "signedAt is null, since no time is verified"
    if missing is None:
        return _STATUS.sub("", found).strip()
    path = re.search(rf'[\w.\[\]"]*\.{re.escape(missing["key"])}\b', expression)
    return f"there is no {path[0] if path else missing['key']}"
