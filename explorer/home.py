"""Where the app keeps what it makes and fetches. The standard library alone, so every room may ask."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def home() -> Path:
    """The folder of everything the app keeps.

    EXPLORER_HOME; on a Space its lasting disk /data where there is one; else ~/.cache/architecture-explorer.
    Where that cannot be written, a folder that lasts as long as the machine's temporary files.
    """
    if named := os.environ.get("EXPLORER_HOME"):
        return Path(named).expanduser()
    lasting, own = Path("/data/architecture-explorer"), Path.home() / ".cache" / "architecture-explorer"
    for folder in (lasting, own) if os.environ.get("SPACE_ID") else (own,):
        if writable(folder):
            return folder
    return Path(tempfile.gettempdir()) / f"architecture-explorer-{os.getuid()}"


def writable(folder: Path) -> bool:
    """Can files be made in this folder (or can it be made, with what stands above it)?"""
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)
