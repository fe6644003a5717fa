"""Another package of the import name ``flash_mla`` in the same place."""

from __future__ import annotations

import os
from collections.abc import Iterable


def check_for_other_package(folders: Iterable[str]) -> None:
    """Raises ImportError if files of FlashMLA's own package lie among ours: both were installed into one place."""
    for folder in folders:
        foreign = sorted(name for name in os.listdir(folder) if name.startswith("cuda.") and name.endswith(".so"))
        if foreign:
            raise ImportError(
                f"{folder} holds files of another package that is also imported as flash_mla ({', '.join(foreign)}): "
                "uninstall both (pip uninstall flash-mla-decode flash-mla), then install the one you want"
            )
