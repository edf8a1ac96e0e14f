"""What the page knows of the machine it runs on."""

from __future__ import annotations

import os

import pytest

from explorer.ui.describe import machine_memory

WHOLE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("said", "memory"),
    [("1048576\n", 2**20), ("max\n", WHOLE), (str(2 * WHOLE), WHOLE), (None, WHOLE)],
    ids=["a container with a limit", "one without", "a limit beyond the machine", "no container"],
)
def test_memory_is_what_the_container_leaves_of_the_machines(said, memory, tmp_path):
    limit = tmp_path / "memory.max"
    if said is not None:
        limit.write_text(said)
    assert machine_memory(limit) == memory
