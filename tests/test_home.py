"""One home for all that is kept: named, lasting, or at least writable."""

from __future__ import annotations

from pathlib import Path

from explorer import home as home_module
from explorer.data.downloads import data_home
from explorer.home import home
from explorer.jobs.store import Store


def test_home_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_HOME", str(tmp_path / "named"))
    assert home() == tmp_path / "named"
    assert Store.at_home().path == tmp_path / "named" / "runs.sqlite"
    assert data_home() == tmp_path / "named" / "data"


def test_home_is_a_cache_folder_that_can_be_written(monkeypatch, tmp_path):
    monkeypatch.delenv("EXPLORER_HOME", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".cache" / "architecture-explorer"
    (tmp_path / ".cache").write_text("a file stands in the way")
    assert home().parent != tmp_path / ".cache"
    assert data_home().parent == home(), "fetched sets fall back as runs do"


def test_on_a_space_home_is_the_lasting_disk(monkeypatch):
    monkeypatch.delenv("EXPLORER_HOME", raising=False)
    monkeypatch.setenv("SPACE_ID", "somebody/explorer")
    monkeypatch.setattr(home_module, "writable", lambda folder: True)
    assert home() == Path("/data/architecture-explorer")
    assert data_home() == Path("/data/architecture-explorer/data")
