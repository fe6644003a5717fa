"""What this build contains and what this machine can run."""

from __future__ import annotations

import platform
from typing import Any

from flash_mla import _native

__version__: str = _native.version


def info() -> dict[str, Any]:
    """Version, machine and backends, as a dictionary that JSON can carry.

    ``backends`` lists all that the project knows, best first: ``name``, ``description``, ``built`` (is in this build),
    ``usable`` (and this machine can run it), ``reason`` (why not). ``default_backend`` is the one that ``plan`` takes
    unless told otherwise: ``$FLASH_MLA_BACKEND``, or the best usable one.

    Examples:
        >>> import flash_mla
        >>> flash_mla.info()["default_backend"] in [b["name"] for b in flash_mla.info()["backends"] if b["usable"]]
        True
    """
    return {
        "command": "info",
        "version": __version__,
        "machine": {
            "architecture": platform.machine(),
            "os": platform.platform(),
            "python": platform.python_version(),
            "usable_threads": _native.default_num_workers(),
        },
        "backends": _native.backends(),
        "default_backend": _native.default_backend(),
    }
