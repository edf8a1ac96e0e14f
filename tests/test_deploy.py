"""What the deployment files name is what the app has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / "docs" / "deploy.md").read_text()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
UNIT = (ROOT / "deploy" / "explorer.service").read_text()
SOURCES = "\n".join(path.read_text() for path in ROOT.glob("explorer/**/*.py"))


@pytest.mark.parametrize("text", [DOCUMENT, DOCKERFILE, UNIT], ids=["deploy.md", "Dockerfile", "unit"])
def test_every_setting_that_is_named_is_read(text):
    named = set(re.findall(r"EXPLORER_[A-Z]+(?:_[A-Z]+)*", text))
    assert named and [name for name in named if name not in SOURCES] == []


def test_every_file_that_is_named_exists():
    for name in re.findall(r"deploy/[\w.]+\w", DOCUMENT):
        assert (ROOT / name).exists(), name


def test_the_image_copies_what_the_app_needs_and_nobody_leaves_it_out():
    copied = re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M)
    names = [name for line in copied for name in line.split()]
    assert {"requirements.txt", "app.py", "assets", "explorer", "pyproject.toml"} == set(names)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert all((ROOT / name).exists() and name not in ignored for name in names)


def test_the_image_does_not_run_as_root_and_tells_how_it_is():
    order = [DOCKERFILE.index(word) for word in ("RUN useradd", "\nUSER 1000", "HEALTHCHECK", "\nCMD")]
    assert order == sorted(order)
    assert "/healthz" in DOCKERFILE


def test_systemd_understands_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    unit = tmp_path / "explorer.service"
    unit.write_text(UNIT.replace("/opt/architecture-explorer/.venv/bin/python", shutil.which("true")))
    told = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (0, "")


def test_nginx_understands_the_proxy(tmp_path):
    if shutil.which("nginx") is None:
        pytest.skip("no nginx here")
    conf = (ROOT / "deploy" / "nginx.conf").read_text().replace("listen 80;", f"listen unix:{tmp_path}/socket;")
    (tmp_path / "explorer.conf").write_text(conf)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}} "
        f"http {{ access_log off; include {tmp_path}/explorer.conf; }}"
    )
    told = subprocess.run(["nginx", "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
