"""When something is due, as the spec has it; when that is next, the daemon works out."""

from dataclasses import dataclass

UTC = "UTC"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron expression of five fields, or `@daily` and the like, read in an IANA time zone."""

    cron: str
    timezone: str = UTC

    def __str__(self) -> str:
        return f"{self.cron} ({self.timezone})"
