"""What the README names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
QUOTED = re.findall(r"`([^`\n]+)`", README)
SOURCES = "\n".join(path.read_text() for path in ROOT.glob("explorer/**/*.py"))


def named_paths() -> list[str]:
    """Paths that stand in back quotes, bare file names completed by the room whose line they stand in."""
    paths = []
    for line in README.splitlines():
        names = re.findall(r"`([\w./-]+\.(?:py|md|txt)|[\w/-]+/)`", line)
        rooms = [name for name in names if name.endswith("/")]
        for name in names:
            bare = "/" not in name and rooms and not (ROOT / name).exists()
            paths.append(rooms[0] + name if bare else name)
    return paths


@pytest.mark.parametrize("path", sorted(set(named_paths())))
def test_every_path_the_readme_names_exists(path):
    if path == "benchmarks/results.md":
        pytest.skip("make bench writes it")
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", sorted({q for q in QUOTED if re.fullmatch(r"EXPLORER_[A-Z_]+", q)}))
def test_every_setting_the_readme_names_is_read(name):
    assert name in SOURCES + (ROOT / "tests/conftest.py").read_text()


def test_every_setting_that_is_read_stands_in_the_readme():
    assert set(re.findall(r"EXPLORER_[A-Z]+(?:_[A-Z]+)*", SOURCES)) <= set(re.findall(r"EXPLORER_[A-Z_]+[A-Z]", README))


@pytest.mark.parametrize("target", ["app", "test", "bench"])
def test_make_has_the_targets_of_the_readme(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)
    assert f"make {target}" in README


def test_every_dependency_says_what_it_is_for():
    wanted = re.findall(
        r"^([a-z][a-z-]+)", (ROOT / "requirements.txt").read_text() + (ROOT / "requirements-dev.txt").read_text(), re.M
    )
    table = README.split("## What each dependency is for")[1]
    assert [name for name in wanted if not re.search(rf"\b{name}\b", table)] == []


def test_the_readme_opens_with_the_header_of_a_space():
    header = README.split("---")[1]
    for key in ("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file",
                "short_description", "thumbnail", "license", "tags"):  # fmt: skip
        assert re.search(rf"^{key}:", header, re.M), key
    assert (ROOT / re.search(r"^thumbnail: (.+)$", header, re.M)[1]).exists()
    assert len(re.search(r"^short_description: (.+)$", header, re.M)[1]) <= 60


def test_packages_hand_on_nothing():
    assert [p for p in ROOT.glob("explorer/**/__init__.py") if ast.parse(p.read_text()).body] == []


def test_no_file_is_too_large_for_a_space():
    tracked = [p for p in ROOT.rglob("*") if p.is_file() and not {".git", ".venv"} & set(p.relative_to(ROOT).parts)]
    assert [p.name for p in tracked if p.stat().st_size > 10_000_000] == []
