"""A spec as the daemon has it: what is scheduled in it, and what must not run beside what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from regsync.reconcile.companions import Companions
from regsync.reconcile.schedule import Task, delay_of
from regsync.spec.model import Spec
from regsync.spec.retention import RetentionPolicy

MIRROR: Final = "mirror:"  # before the names of tasks
RETENTION: Final = "retention:"


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A spec, and what follows from it for the daemon."""

    spec: Spec
    companions: Companions
    tasks: Mapping[str, Task]
    disturbed: Mapping[str, frozenset[str]]  # by task of retention, the companies it must not run beside

    @classmethod
    def of(cls, spec: Spec, spread: float) -> "Scheduled":
        """`spread`: seconds over which runs that are due at once are spread. Slow for big specs."""
        companions = Companions(spec)
        tasks = [
            Task(f"{MIRROR}{one.name}", one.schedule, delay_of(companions.company(one.name), spread))
            for one in spec.mirrors
            if one.schedule is not None
        ]
        tasks += [
            Task(f"{RETENTION}{one.name}", one.schedule, delay_of(f"{RETENTION}{one.name}", spread))
            for one in _retention(spec)
            if one.schedule is not None
        ]
        disturbed = {f"{RETENTION}{one.name}": companions.disturbed_by(one) for one in spec.retention}
        return cls(spec, companions, {task.name: task for task in tasks}, disturbed)

    @property
    def names(self) -> Sequence[str]:
        """Every task that there may be: all mirrors, also those without a schedule, and retention."""
        mirrors = {f"{MIRROR}{one.name}" for one in self.spec.mirrors}
        return sorted(mirrors | self.tasks.keys())

    @property
    def unscheduled(self) -> Sequence[str]:
        """Mirrors that only run when they are asked for."""
        return [one.name for one in self.spec.mirrors if one.schedule is None]

    def company(self, task: str) -> str:
        """What a task must not run beside."""
        return self.companions.company(task.removeprefix(MIRROR)) if task.startswith(MIRROR) else task

    def schedule_of(self, task: str) -> str:
        """A task's schedule as text; empty where it has none."""
        found = self.tasks.get(task)
        return str(found.schedule) if found is not None else ""


def _retention(spec: Spec) -> Sequence[RetentionPolicy]:
    """The policies that are carried out: none where only some of the mirrors are asked for."""
    return spec.retention if len(spec.mirrors) == len(spec.declared or spec.mirrors) else ()
