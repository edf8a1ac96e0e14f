"""Why a run failed: an exception -> one sentence for a person. Needs no torch."""

from __future__ import annotations

import errno
import logging

NO_MEMORY = "The machine ran out of memory: try a smaller batch, image size or head."

MEMORY_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")
"""How torch says it for CUDA, MPS and CPUs on Windows, Linux and Macs, and cuBLAS; in small letters."""

NO_DISK = "The disk is full: make room where runs are kept, or set EXPLORER_HOME to a folder on another disk."

DISK_WORDS = ("no space left on device", "disk is full", "disk quota exceeded")
"""How safetensors and SQLite say it, whose errors are none of the system's; in small letters."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this error says that memory ran out, of the machine or of its accelerator."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError):  # torch.OutOfMemoryError is one; its allocators on a CPU raise it plainly
        return any(words in str(error).lower() for words in MEMORY_WORDS)
    return isinstance(error, MemoryError)


def is_out_of_disk(error: BaseException) -> bool:
    """Whether this error says that no room is left on the disk, or none that this user may take."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return not isinstance(error, ValueError) and any(words in str(error).lower() for words in DISK_WORDS)


def reason_of(error: Exception) -> str:
    """One sentence: an error that teaches speaks for itself; what nobody expected is named and logged in full."""
    text = (str(error).strip().splitlines() or [""])[0]
    if is_out_of_memory(error):
        return NO_MEMORY
    if is_out_of_disk(error):
        return NO_DISK
    if isinstance(error, ValueError) and text:
        return text
    if isinstance(error, OSError):
        return f"A file could not be read or written: {text}."
    logging.getLogger(__name__).error("Training ended by an unexpected error", exc_info=error)
    said = text[:500].rstrip(".") or "it left no word"
    return f"Training ended by an unexpected error, {type(error).__name__}: {said}."
