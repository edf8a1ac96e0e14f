"""A file from an address: streamed, checked, whole or not at all. The standard library alone."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

PIECE = 1 << 18


class Spoiled(OSError):
    """What came is not what was promised: too short, or of another hash."""


def fetch(
    url: str,
    file: Path,
    *,
    digest: str = "",
    timeout: float = 15.0,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Put what lies at `url` into `file`; returns its bytes.

    digest    "md5:" or "sha256:" and the hash in hexadecimal, or how it begins; "" leaves it unchecked
    timeout   seconds without a byte after which it is given up
    progress  told (bytes so far, bytes in all or 0 where the host does not say); what it raises ends the fetching

    Raises OSError (Spoiled where it arrived otherwise than promised) or HTTPException; then `file` is as it was.
    """
    method, _, expected = digest.partition(":")
    seen = hashlib.new(method or "sha256", usedforsecurity=False)
    partial = file.with_name(f"{file.name}.{uuid.uuid4().hex}.partial")
    done = 0
    try:
        request = Request(url, headers={"User-Agent": "architecture-explorer"})
        with urlopen(request, timeout=timeout) as answer, open(partial, "wb") as out:
            total = int(answer.headers.get("Content-Length") or 0)
            while piece := answer.read(PIECE):
                out.write(piece)
                seen.update(piece)
                done += len(piece)
                if progress:
                    progress(done, total)
        if done < total:
            raise Spoiled(f"it broke off after {done:,} of {total:,} bytes")
        if not seen.hexdigest().startswith(expected):
            raise Spoiled("what came does not match its hash")
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)
    return done
