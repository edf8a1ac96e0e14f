"""Files are whole or not there."""

from __future__ import annotations

import pytest

from explorer.files import HALF, remove_halves, write_whole


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    target = write_whole(tmp_path / "a" / "weights", lambda path: path.write_text("old"))

    def breaks(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_whole(target, breaks)
    assert target.read_text() == "old" and list(target.parent.iterdir()) == [target]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / f"weights{HALF}").write_text("half")
    (tmp_path / "weights").write_text("whole")
    remove_halves(tmp_path)
    remove_halves(tmp_path / "nowhere")
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]
