"""Evaluates CEL in a process of its own, which may be killed: run as a script, by `expressions.py` alone.

It stands alone on purpose: nothing of regsync is loaded, so that it starts in some 40 ms. Requests come on
stdin: four bytes of length, then a marshalled (order, expressions, variables). Answers are lines of JSON.
The kernel ends the process when one request has used its time: there is no thread to leave behind, and no
way for an expression, or for a fault in the library, to take more with it than this process.
"""

import json
import marshal
import resource
import signal
import struct
import sys
from datetime import UTC, datetime
from typing import Any, BinaryIO

from cel_expr_python import cel  # type: ignore[import-untyped,unused-ignore]

CPU_SECONDS = 2.0  # for one request
WALL_SECONDS = 20.0  # a machine may be busy; this only ends what hangs
MEMORY = 2 << 30  # bytes of address space
MAX_ANSWER = 2000  # characters; the library's messages may quote what it was given

_TYPES: dict[str, Any] = {
    "predicate": cel.Type.DYN,
    "statement": cel.Type.DYN,
    "signer": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "image": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "now": cel.Type.TIMESTAMP,
}
# A timestamp cannot be passed as DYN, nor null as a timestamp: each expression is compiled for both.
_SIGNED = cel.NewEnv(variables={**_TYPES, "signedAt": cel.Type.TIMESTAMP})
_UNDATED = cel.NewEnv(variables={**_TYPES, "signedAt": cel.Type.NULL})
_TIMES = ("now", "signedAt")  # come as seconds since 1970

_compiled: dict[tuple[str, bool], Any] = {}


def _compile(expression: str, *, dated: bool) -> Any:
    known = _compiled.get((expression, dated))
    if known is None:
        known = (_SIGNED if dated else _UNDATED).compile(expression)
        _compiled[expression, dated] = known
    return known


def _check(expression: str) -> str | None:
    """Why an expression is none, or gives no bool."""
    try:
        given = _compile(expression, dated=True).return_type().name()
    except RuntimeError as cause:
        return str(cause)
    return None if given in ("BOOL", "DYN") else f"it gives {given}, not a bool"


def _evaluate(expression: str, activation: Any, *, dated: bool) -> str | None:
    """None where it is true, else what it came to."""
    try:
        result = _compile(expression, dated=dated).eval(activation)
        kind, value = result.type().name(), result.value()
    except RuntimeError as cause:
        return f"error: {cause}"
    if kind == "BOOL":
        return None if value is True else "false"
    return f"error: {value}" if kind == "ERROR" else f"error: it gives {kind}, not a bool"


def _answer(order: str, expressions: list[str], variables: dict[str, Any]) -> None:
    for name in _TIMES:
        if variables.get(name) is not None:
            variables[name] = datetime.fromtimestamp(variables[name], UTC)
    dated = variables.get("signedAt") is not None
    # What is converted for one expression stays converted for the next: most of the time goes there.
    activation = (_SIGNED if dated else _UNDATED).Activation(variables)
    for expression in expressions:
        found = _check(expression) if order == "check" else _evaluate(expression, activation, dated=dated)
        sys.stdout.write(json.dumps(found if found is None else found[:MAX_ANSWER]) + "\n")
        sys.stdout.flush()


def _serve(requests: BinaryIO) -> None:
    while head := requests.read(4):
        request = requests.read(struct.unpack(">I", head)[0])
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
        _answer(*marshal.loads(request))  # noqa: S302 - from our own parent
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _serve(sys.stdin.buffer)
