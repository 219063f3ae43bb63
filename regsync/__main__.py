"""The command: `regsync …`, or `python -m regsync …`."""

import gc
import os
import sys
from typing import NoReturn

from regsync import __version__

# New objects. Starting up makes a good 100,000 that stay, and each collection before it is over looks at them
# for nothing: a tenth of a run with nothing to do. With this many the memory of large runs stays the same.
COLLECT_AFTER = 200_000


def main() -> None:
    """Run the command line in `sys.argv` and exit with its code."""
    if sys.argv[1:] == ["--version"]:  # answered before anything heavier is loaded
        sys.exit(_tell_version())
    gc.set_threshold(COLLECT_AFTER)
    from regsync.cli.main import run

    _leave(run(sys.argv[1:]))


def _tell_version() -> int:
    try:
        print(f"regsync {__version__}", flush=True)
    except OSError:  # nobody is there to read it, or the disk is full
        return 1
    return 0


def _leave(code: int) -> NoReturn:
    """End the process without the interpreter's finalisation.

    The HTTP client has threads of its own that may still give back an object while the interpreter is
    taken down, which aborts it ("PyGILState_Release", exit code 134) after all work was done. Whatever
    had to be closed is closed by now, so nothing is left to finalise but the output.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # full, gone or closed
            code = code or 1
    os._exit(code)


if __name__ == "__main__":
    main()
