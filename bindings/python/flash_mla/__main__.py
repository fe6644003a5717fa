"""``python -m flash_mla VERB ...``, also installed as the command ``flash_mla``."""

from __future__ import annotations

import signal
import sys

from flash_mla import _native


def main() -> int:
    # Python would hold back a Ctrl-C until the command has ended, and hide that the reader of a pipe has gone.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    return _native.run_command(["flash_mla", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
