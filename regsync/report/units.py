"""Sizes and durations as a person reads them."""

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def human_bytes(count: int | None) -> str:
    """`0 B`, `1023 B`, `1.0 KiB`, `71.2 MiB`; `?` where the size is not known."""
    if count is None:
        return "?"
    if count < 1024:
        return f"{count} B"
    value, unit = count / 1024, 0
    while value >= 1023.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}"


def human_seconds(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`1 tag`, `2 tags`, `3 repositories`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
