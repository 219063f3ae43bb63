"""The command: `regsync …`, or `python -m regsync …`."""

import sys

from regsync import __version__


def main() -> None:
    """Run the command line in `sys.argv` and exit with its code."""
    if sys.argv[1:] == ["--version"]:  # answered before anything heavier is loaded
        print(f"regsync {__version__}")
        return
    from regsync.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
