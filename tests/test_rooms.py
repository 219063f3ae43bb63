"""The architecture as a test: who may import whom, what stays out of where, and what starting up costs.

DESIGN, section 5: errors, clock → oci → content, spec → trust, remote, store → plan, server → reconcile,
report → cli.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "regsync"
MINE = "regsync"

# What a room may import of the others; a dot names one module of a room. A room that is missing here is
# one that nobody has thought about yet.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"__init__", "cli"},
    "errors": set(),
    "clock": set(),
    "regular_file": set(),
    "oci": {"errors"},
    "content": {"errors", "clock", "oci"},
    "spec": {"errors", "regular_file", "oci"},
    "trust": {"__init__", "errors", "oci", "content", "spec"},
    "remote": {"__init__", "errors", "clock", "regular_file", "oci", "content"},
    "store": {"__init__", "errors", "clock", "oci", "content"},
    "plan": {"errors", "oci", "spec", "trust"},
    "server": {"__init__", "errors", "clock", "oci", "content", "spec", "trust", "store"},
    "reconcile": {"errors", "clock", "oci", "content", "spec", "trust", "plan"},
    "report": {
        *("__init__", "errors", "clock", "oci", "spec.model", "spec.verification", "trust.verdict", "plan"),
        *("spec.pruning", "spec.retention", "spec.projects", "spec.schedules"),
        *("reconcile.events", "reconcile.standing", "spec.lock_merge"),
    },
    "cli": {
        *("__init__", "errors", "clock", "regular_file", "oci", "content", "spec", "trust", "remote"),
        *("store", "plan", "server", "reconcile", "report"),
    },
}

# Where a library of weight, or one that would undo an abstraction, may be imported.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "sigstore": ("trust/sigstore_library.py",),  # and it brings the next three along
    "sigstore_models": ("trust/sigstore_library.py",),
    "tuf": ("trust/root_updates.py",),
    "urllib3": ("trust/root_updates.py",),
    "requests": (),
    "cbor2": ("trust/notation/cose.py",),
    "rfc3161_client": ("trust/timestamps.py", "trust/notation/timestamp.py"),
    "cel_expr_python": ("trust/expression_worker.py",),  # a process of its own
    "pydantic": ("spec/**", "server/**"),
    "granian": ("server/listening.py",),
    "prometheus_client": ("server/exposition.py", "report/metrics.py"),
    "croniter": ("reconcile/schedule.py", "spec/**"),
    "pyreqwest": ("remote/transport.py",),
    "sqlalchemy": ("store/**",),
    "alembic": ("store/**",),
    "sqlite3": ("store/**", "reconcile/ledger_*.py"),
    "rich": ("report/**", "cli/**"),
    "click": ("cli/**",),
    "yaml": ("spec/**",),
    "httpx": (),  # a client for the tests; the package has remote/transport.py
    "asyncio": (),  # anyio; a hot path that needs it is listed here with its reason
}

# STYLE, example 12: these come from clock.py, so that a test can say what they are. Sleeping asks nothing.
SOURCES_OF_CHANCE = {"random", "secrets", "uuid"}
ASKS_THE_TIME = {
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
}

NAMES_OF_NOTHING = {"base", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}

# `regsync --version` within 0.1 s (DESIGN, section 9): none of these is needed to print a number.
HEAVY = {
    "pydantic",
    "sqlalchemy",
    "alembic",
    "pyreqwest",
    "rich",
    "click",
    "yaml",
    "anyio",
    "asyncio",
    "tenacity",
}


@dataclass(frozen=True, order=True)
class Import:
    """One import statement's target, at a place."""

    path: str  # within the package
    line: int
    target: str  # dotted

    @property
    def room(self) -> str:
        return PurePosixPath(self.path).parts[0].removesuffix(".py")

    @property
    def inside(self) -> str | None:
        """The target within the package, `spec.model`; `__init__` is the package itself; None: elsewhere."""
        first, _, rest = self.target.partition(".")
        return (rest or "__init__") if first == MINE else None

    @property
    def library(self) -> str:
        return self.target.partition(".")[0]

    def __str__(self) -> str:
        return f"regsync/{self.path}:{self.line} imports {self.target}"


def targets(node: ast.AST, path: PurePosixPath) -> Iterator[str]:
    """The modules that a statement imports, relative ones resolved."""
    match node:
        case ast.Import(names=names):
            yield from (name.name for name in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            parents = (MINE, *path.parent.parts)
            start = ".".join(parents[: len(parents) - level + 1]) if level else ""
            origin = ".".join(part for part in (start, module) if part)
            # `from regsync import spec` names a module, `from regsync.spec import load` something in one.
            if is_module_of_ours(origin):
                yield from (
                    f"{origin}.{name.name}" if is_ours(origin, name.name) else origin for name in names
                )
            else:
                yield origin


def is_module_of_ours(dotted: str) -> bool:
    return dotted == MINE or dotted.startswith(f"{MINE}.")


def is_ours(origin: str, name: str) -> bool:
    """Whether `name` is a module below the package `origin`."""
    directory = PACKAGE.joinpath(*origin.split(".")[1:])
    return (directory / name).is_dir() or (directory / f"{name}.py").is_file()


@cache
def modules() -> tuple[PurePosixPath, ...]:
    return tuple(sorted(PurePosixPath(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py")))


@cache
def tree(path: PurePosixPath) -> ast.Module:
    return ast.parse((PACKAGE / path).read_text(encoding="utf-8"))


@cache
def imports() -> tuple[Import, ...]:
    return tuple(
        Import(str(path), getattr(node, "lineno", 0), target)
        for path in modules()
        for node in ast.walk(tree(path))
        for target in targets(node, path)
    )


def is_allowed(found: Import) -> bool:
    assert found.inside is not None
    room = found.inside.partition(".")[0]
    allowed = MAY_IMPORT[found.room] | {found.room}
    return room in allowed or found.inside in allowed


def is_among(path: str, patterns: tuple[str, ...]) -> bool:
    for pattern in patterns:
        if pattern.endswith("/**"):
            if path.startswith(pattern.removesuffix("**")):
                return True
        elif PurePosixPath(path).match(pattern):
            return True
    return False


def test_every_room_has_its_rule() -> None:
    rooms = {path.parts[0].removesuffix(".py") for path in modules()}
    assert rooms - MAY_IMPORT.keys() == set()


def test_rooms_import_only_what_they_may() -> None:
    assert [str(found) for found in imports() if found.inside is not None and not is_allowed(found)] == []


def test_the_rules_themselves_point_one_way() -> None:
    """Otherwise two rooms could come to import each other, and the test above would agree."""
    left = {room: {other.partition(".")[0] for other in others} for room, others in MAY_IMPORT.items()}
    while left:
        free = [room for room, others in left.items() if not others & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for room in free:
            del left[room]


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_a_library_stays_where_it_belongs(library: str) -> None:
    strays = [found for found in imports() if found.library == library]
    assert [str(found) for found in strays if not is_among(found.path, ONLY_IN[library])] == []


def test_only_the_clock_asks_the_machine_for_chance() -> None:
    strays = [found for found in imports() if found.library in SOURCES_OF_CHANCE]
    assert [str(found) for found in strays if found.path != "clock.py"] == []


def test_only_the_clock_asks_the_machine_for_the_time() -> None:
    asked = [
        f"regsync/{path}:{node.lineno} {ast.unparse(node)}"
        for path in modules()
        if str(path) != "clock.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).split(".")[-2:]) in ASKS_THE_TIME
    ]
    assert asked == []


def test_every_module_is_named_for_what_is_in_it() -> None:
    assert [str(path) for path in modules() if NAMES_OF_NOTHING & {path.stem, *path.parent.parts}] == []


def loaded(*arguments: str) -> set[str]:
    """The top-level packages that `python -m regsync …` loads before it ends."""
    command = [sys.executable, "-X", "importtime", "-m", "regsync", *arguments]
    ended = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60, cwd=PACKAGE.parent
    )
    names = (line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if "|" in line)
    return {name.partition(".")[0] for name in names}


def test_the_version_is_printed_without_loading_anything_heavy() -> None:
    assert loaded("--version") & HEAVY == set()


def test_help_does_not_load_what_only_commands_need() -> None:
    assert loaded("--help") & {"pydantic", "sqlalchemy", "alembic", "pyreqwest", "rich"} == set()


@pytest.mark.parametrize(
    ("statement", "path", "expected"),
    [
        pytest.param("import regsync.spec.model", "plan/x.py", ["regsync.spec.model"], id="import"),
        pytest.param("from regsync.spec import model", "plan/x.py", ["regsync.spec.model"], id="a module"),
        pytest.param(
            "from regsync.oci.digest import Digest", "plan/x.py", ["regsync.oci.digest"], id="a name"
        ),
        pytest.param("from regsync import spec", "plan/x.py", ["regsync.spec"], id="a room"),
        pytest.param("from regsync import __version__", "plan/x.py", ["regsync"], id="the package"),
        pytest.param("from . import model", "plan/x.py", ["regsync.plan.model"], id="relative"),
        pytest.param("from ..spec import model", "plan/x.py", ["regsync.spec.model"], id="relative, upwards"),
        pytest.param("from ..errors import X", "plan/x.py", ["regsync.errors"], id="relative, to the root"),
        pytest.param("import json, asyncio.tasks", "plan/x.py", ["json", "asyncio.tasks"], id="libraries"),
    ],
)
def test_imports_are_found_however_they_are_written(statement: str, path: str, expected: list[str]) -> None:
    node = ast.parse(statement).body[0]
    assert list(targets(node, PurePosixPath(path))) == expected
