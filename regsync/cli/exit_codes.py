"""Exit codes (DESIGN.md, section 4). Those of outcomes are in `plan.model.exit_code`."""

from collections.abc import Iterable

from regsync.errors import RefusedError, RegsyncError, SpecError, TemporaryError, UsageError

DONE = 0
FAILED = 1
PENDING = 2
REFUSED = 3
USAGE = 64
SPEC = 65
DEFECT = 70
TEMPORARY = 75
INTERRUPTED = 130  # 128 + SIGINT
TERMINATED = 143  # 128 + SIGTERM

_MEANINGS = {
    DONE: "done, or nothing to do",
    FAILED: "something failed: fewer tags than `atLeast`, a source that lies, a target that refuses, a host "
    "that does not exist",
    PENDING: "changes are pending (`plan`, `sync --dry-run`), or places differ (`check`); `--exit-zero` "
    "makes it 0",
    REFUSED: "a rule said no: a policy refuses an image, a plan would move an immutable tag, a target moved, "
    "a plan is stale, a limit of deletions is hit",
    USAGE: "misuse of the command line",
    SPEC: "the spec is invalid",
    DEFECT: "a defect in regsync; REGSYNC_DEBUG=1 shows where",
    TEMPORARY: "every failure was temporary, or another run holds the lease: try later",
    INTERRUPTED: "interrupted by SIGINT; what was done is reported",
    TERMINATED: "ended by SIGTERM; what was done is reported",
}
_PRECEDENCE = (USAGE, SPEC, REFUSED, FAILED, TEMPORARY)


def table() -> Iterable[tuple[int, str]]:
    """Every code with its meaning, for the documentation."""
    return _MEANINGS.items()


def code_of(error: RegsyncError) -> int:
    """The exit code of a command that an error ended."""
    match error:
        case UsageError():
            return USAGE
        case SpecError():
            return SPEC
        case RefusedError():
            return REFUSED
        case TemporaryError():
            return TEMPORARY
    return FAILED


def worse(one: int, other: int) -> int:
    """The exit code of two that says more; that of an interruption above all."""
    interrupted = next((code for code in (one, other) if code in (INTERRUPTED, TERMINATED)), None)
    if interrupted is not None:
        return interrupted
    return next((code for code in (*_PRECEDENCE, PENDING) if code in (one, other)), DONE)


def code_of_all(errors: Iterable[RegsyncError]) -> int:
    """The exit code when several errors ended it: the first of 64, 65, 3, 1, 75."""
    codes = {code_of(error) for error in errors}
    return next((code for code in _PRECEDENCE if code in codes), FAILED)
