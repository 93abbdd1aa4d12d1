"""Starts the command line, as `seqgpt-lab` and as `python -m seqgpt_lab`; knows none of its commands."""

from __future__ import annotations

import sys

from seqgpt_lab.apps.exit_codes import INTERRUPTED


def main() -> None:
    """Hand over to the command line. Ctrl-C while that is being imported or set up leaves as later too: by the exit code, no traceback."""
    try:
        from seqgpt_lab.apps.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
