"""Errors from below become one sentence."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys

import pytest
import torch

from explorer.train.reason import NO_DISK, NO_MEMORY, is_out_of_memory, reason_of


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 3.00 GiB for an array with shape (9, 9) and data type float64"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB. GPU 0 has a total capacity of 1 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.0 GB, other allocations: 1.0 GB)"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
            "allocate 1000000000000 bytes. Error code 12 (Cannot allocate memory)"
        ),
        RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_memory_that_runs_out_has_one_sentence(error, caplog):
    assert is_out_of_memory(error)
    assert reason_of(error) == NO_MEMORY == "The machine ran out of memory: try a smaller batch, image size or head."
    assert not caplog.records


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_a_full_disk_has_one_sentence(error, caplog):
    assert reason_of(error) == NO_DISK and not caplog.records


def test_what_this_machine_says_without_memory_is_understood():
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 55)
    assert is_out_of_memory(refused.value), refused.value


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("The folder “out of memory” is empty: choose another."), None),
        (ValueError("The folder “disk is full” is empty: choose another."), None),
        (OSError(errno.EACCES, "Permission denied"), "A file could not be read or written: [Errno 13]"),
        (ValueError(), "Training ended by an unexpected error, ValueError: it left no word."),
        (RuntimeError("mat1 and mat2\nmore"), "Training ended by an unexpected error, RuntimeError: mat1 and mat2."),
    ],
)
def test_other_errors_keep_their_words(error, sentence):
    assert not is_out_of_memory(error)
    assert reason_of(error).startswith(sentence or str(error))


def test_reasons_need_no_torch():
    subprocess.run(
        [sys.executable, "-c", "import sys, explorer.train.reason; assert 'torch' not in sys.modules"], check=True
    )
