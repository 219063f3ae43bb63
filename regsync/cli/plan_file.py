"""Reading the file that `regsync apply` is given."""

from pathlib import Path

from regsync.cli.input_files import read_input
from regsync.plan.codec import MAX_PLAN_SIZE, InvalidPlanError, plan_from_json
from regsync.plan.model import Plan


class InvalidPlanFileError(InvalidPlanError):
    """The file is no plan; the message names it."""

    def __init__(self, path: Path, cause: InvalidPlanError) -> None:
        super().__init__(str(cause))
        self.args = (f"plan {path}: {cause}",)


def read_plan(path: Path) -> Plan:
    """Read a plan, or stdin for `-`; raises UnreadableFileError or InvalidPlanFileError."""
    raw = read_input(path, MAX_PLAN_SIZE)
    try:
        return plan_from_json(raw)
    except InvalidPlanError as cause:
        raise InvalidPlanFileError(path, cause) from cause
