"""Reading the file that `regsync apply` is given."""

import sys
from pathlib import Path

from regsync.errors import UsageError
from regsync.plan.codec import MAX_PLAN_SIZE, InvalidPlanError, plan_from_json
from regsync.plan.model import Plan


class UnreadablePlanError(UsageError):
    """There is no such file, or it may not be read."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"plan {path}: {cause.strerror or cause}")


class InvalidPlanFileError(InvalidPlanError):
    """The file is no plan; the message names it."""

    def __init__(self, path: Path, cause: InvalidPlanError) -> None:
        super().__init__(str(cause))
        self.args = (f"plan {path}: {cause}",)


def read_plan(path: Path) -> Plan:
    """Read a plan, or stdin for `-`; raises UnreadablePlanError or InvalidPlanFileError."""
    try:
        if str(path) == "-":
            raw = sys.stdin.buffer.read(MAX_PLAN_SIZE + 1)
        else:
            with path.open("rb") as stream:
                raw = stream.read(MAX_PLAN_SIZE + 1)
    except OSError as cause:
        raise UnreadablePlanError(path, cause) from cause
    try:
        return plan_from_json(raw)
    except InvalidPlanError as cause:
        raise InvalidPlanFileError(path, cause) from cause
