"""What `validate --expand` says of what may be deleted, by whom, and when."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from regsync.report.escape import visible
from regsync.report.style import BOLD, PLAIN, Style
from regsync.spec.model import Spec

if TYPE_CHECKING:
    from regsync.spec.projects import Project
    from regsync.spec.pruning import PrunePolicy
    from regsync.spec.retention import RetentionPolicy
    from regsync.spec.schedules import Schedule


def rules_lines(spec: Spec, style: Style = PLAIN) -> Iterator[str]:
    """Lines for people; what belongs to a line above begins with spaces."""
    for policy in spec.retention:
        yield f"{style.paint(f'retention {policy.name}', BOLD)}\n"
        yield from (f"  {visible(line)}\n" for line in _retention_lines(policy))
    for project in spec.projects:
        yield f"{style.paint(f'project {project.name}', BOLD)}\n"
        yield from (f"  {visible(line)}\n" for line in _project_lines(project))


def _retention_lines(policy: "RetentionPolicy") -> Iterator[str]:
    yield f"repositories {', '.join(map(str, policy.repositories))}"
    yield from (f"keep {rule}" for rule in policy.keep)
    yield f"unmatched {policy.unmatched.value}"
    yield from _listed("protect", policy.protect)
    yield from _listed("inUse", list(map(str, policy.in_use)))
    if policy.untagged_keep_for is not None:
        yield f"untagged kept for {_days(policy.untagged_keep_for.total_seconds())}"
    yield f"limits {policy.limits}"
    if policy.schedule is not None:
        yield f"schedule {policy.schedule}"


def _project_lines(project: "Project") -> Iterator[str]:
    yield from _listed("files", project.files)
    yield from _listed("kinds", project.kinds)
    yield from _listed("sources", project.sources or ("none",))
    yield from _listed("targets", project.targets or ("none",))
    yield from _listed("verify", project.verify)
    yield f"prune {'none' if project.prune is None else project.prune}"


def _listed(key: str, values: Sequence[str]) -> Iterator[str]:
    if values:
        yield f"{key} {', '.join(values)}"


def _days(seconds: float) -> str:
    return f"{seconds / 86400:g} days"


def rules_document(spec: Spec) -> dict[str, object]:
    """The same as data."""
    return {
        "retention": [_retention_document(policy) for policy in spec.retention],
        "projects": [_project_document(project) for project in spec.projects],
    }


def _retention_document(policy: "RetentionPolicy") -> dict[str, object]:
    kept = policy.untagged_keep_for
    return {
        "name": policy.name,
        "repositories": [str(glob) for glob in policy.repositories],
        "keep": [str(rule) for rule in policy.keep],
        "unmatched": policy.unmatched.value,
        "protect": list(policy.protect),
        "inUse": [str(one) for one in policy.in_use],
        "untaggedKeepSeconds": None if kept is None else int(kept.total_seconds()),
        "maxDeletes": policy.limits.max_deletes,
        "maxDeletePercent": policy.limits.max_delete_percent,
        "schedule": schedule_document(policy.schedule),
    }


def _project_document(project: "Project") -> dict[str, object]:
    return {
        "name": project.name,
        "files": list(project.files),
        "kinds": list(project.kinds),
        "sources": list(project.sources),
        "targets": list(project.targets),
        "verify": list(project.verify),
        "prune": None if project.prune is None else prune_document(project.prune),
    }


def prune_document(policy: "PrunePolicy") -> dict[str, object]:
    """`prune` of a mirror, or of a project."""
    return {
        "maxDeletes": policy.limits.max_deletes,
        "maxDeletePercent": policy.limits.max_delete_percent,
        "graceSeconds": int(policy.grace.total_seconds()),
        "protect": list(policy.protect),
        "owns": policy.owns.value,
    }


def schedule_document(schedule: "Schedule | None") -> dict[str, object] | None:
    """A schedule with its time zone."""
    return None if schedule is None else {"cron": schedule.cron, "timezone": schedule.timezone}
