"""What kind of host this is, by its environment."""

import pytest

from explorer import host


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in ("SPACE_ID", "EXPLORER_PUBLIC", "EXPLORER_LOGIN", "EXPLORER_TRUST_PROXY", "EXPLORER_RATE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("public", "space", "expected"),
    [("", "", False), ("", "me/app", True), ("1", "", True), ("true", "", True), ("0", "me/app", False)],
)
def test_a_host_is_public_where_it_says_so_or_is_a_space(monkeypatch, public, space, expected):
    monkeypatch.setenv("EXPLORER_PUBLIC", public)
    monkeypatch.setenv("SPACE_ID", space)
    assert host.is_public() is expected


def test_a_word_that_is_neither_yes_nor_no_is_refused(monkeypatch):
    monkeypatch.setenv("EXPLORER_PUBLIC", "perhaps")
    with pytest.raises(ValueError, match="EXPLORER_PUBLIC"):
        host.is_public()


def test_users_stand_in_the_variable_or_in_a_file(monkeypatch, tmp_path):
    assert host.login() == ()
    monkeypatch.setenv("EXPLORER_LOGIN", "ada:lovelace, alan:tu:ring")
    assert host.login() == (("ada", "lovelace"), ("alan", "tu:ring"))
    (tmp_path / "users").write_text("ada:lovelace\n\nalan:turing\n")
    monkeypatch.setenv("EXPLORER_LOGIN", str(tmp_path / "users"))
    assert host.login() == (("ada", "lovelace"), ("alan", "turing"))


@pytest.mark.parametrize("text", ["nobody", "ada:", ":secretword", "ada:secretword,alan", "ada:secretword,ada:b"])
def test_nonsense_is_refused_without_telling_a_password(monkeypatch, text):
    monkeypatch.setenv("EXPLORER_LOGIN", text)
    with pytest.raises(ValueError, match="EXPLORER_LOGIN") as refused:
        host.login()
    assert "secretword" not in str(refused.value)


def test_an_empty_file_of_users_lets_nobody_in_by_mistake(monkeypatch, tmp_path):
    (tmp_path / "users").write_text("\n")
    monkeypatch.setenv("EXPLORER_LOGIN", str(tmp_path / "users"))
    with pytest.raises(ValueError, match="no user"):
        host.login()


def test_a_space_stands_behind_one_proxy(monkeypatch):
    assert host.trusted_proxies() == 0
    monkeypatch.setenv("SPACE_ID", "me/app")
    assert host.trusted_proxies() == 1
    monkeypatch.setenv("EXPLORER_TRUST_PROXY", "2")
    assert host.trusted_proxies() == 2
    monkeypatch.setenv("EXPLORER_TRUST_PROXY", "all")
    with pytest.raises(ValueError, match="EXPLORER_TRUST_PROXY"):
        host.trusted_proxies()


def test_requests_are_limited_on_public_hosts_unless_told_otherwise(monkeypatch):
    assert host.rate_factor() == 0
    monkeypatch.setenv("EXPLORER_PUBLIC", "1")
    assert host.rate_factor() == 1
    monkeypatch.setenv("EXPLORER_RATE", "off")
    assert host.rate_factor() == 0
    monkeypatch.setenv("EXPLORER_RATE", "2.5")
    assert host.rate_factor() == 2.5
    monkeypatch.setenv("EXPLORER_RATE", "nan")
    with pytest.raises(ValueError, match="EXPLORER_RATE"):
        host.rate_factor()
