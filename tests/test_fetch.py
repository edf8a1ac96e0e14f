"""A file arrives whole and checked, or nothing does."""

from __future__ import annotations

import hashlib
import socket
import threading
from urllib.error import URLError

import pytest

from explorer.fetch import PIECE, Spoiled, fetch

CONTENT = bytes(range(256)) * (PIECE // 128)
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def url(tmp_path) -> str:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "set.bin").write_bytes(CONTENT)
    return (tmp_path / "host" / "set.bin").as_uri()


@pytest.fixture
def file(tmp_path):
    (tmp_path / "here").mkdir()
    return tmp_path / "here" / "set.bin"


@pytest.mark.parametrize("digest", ["", f"md5:{MD5}", f"sha256:{SHA256}", f"sha256:{SHA256[:8]}"])
def test_a_file_that_is_as_promised_arrives_whole(url, file, digest):
    told = []
    assert fetch(url, file, digest=digest, progress=lambda *step: told.append(step)) == len(CONTENT)
    assert file.read_bytes() == CONTENT
    assert told == [(PIECE, len(CONTENT)), (2 * PIECE, len(CONTENT))]
    assert list(file.parent.iterdir()) == [file], "nothing else stays behind"


def test_another_hash_leaves_what_was_there(url, file):
    file.write_bytes(b"older")
    with pytest.raises(Spoiled, match="does not match its hash"):
        fetch(url, file, digest=f"md5:{SHA256[:32]}")
    assert file.read_bytes() == b"older" and list(file.parent.iterdir()) == [file]


def test_who_ends_it_in_the_middle_leaves_nothing(url, file):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(url, file, progress=stop)
    assert list(file.parent.iterdir()) == []


def test_an_address_without_a_file_leaves_nothing(url, file):
    with pytest.raises(URLError):
        fetch(url + "x", file)
    assert list(file.parent.iterdir()) == []


@pytest.fixture
def host(monkeypatch):
    """host(answer) is the address of a host that answers so to the first who asks."""
    monkeypatch.setenv("no_proxy", "*")
    server = socket.create_server(("127.0.0.1", 0))

    def answering(answer: bytes) -> str:
        def serve():
            line, _ = server.accept()
            with line:
                line.recv(1000)
                line.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/set.bin"

    with server:
        yield answering


def test_a_host_that_breaks_off_is_not_believed(host, file):
    with pytest.raises(Spoiled, match="broke off after 9 of 1,000 bytes"):
        fetch(host(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this"), file)
    assert list(file.parent.iterdir()) == []


def test_a_host_that_tells_no_length_is_taken_at_its_word(host, file):
    told = []
    assert fetch(host(b"HTTP/1.1 200 OK\r\n\r\nall of it"), file, progress=lambda *step: told.append(step)) == 9
    assert told == [(9, 0)]


def test_a_host_that_says_nothing_is_given_up(file, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(OSError):
        fetch(f"http://127.0.0.1:{server.getsockname()[1]}/set.bin", file, timeout=0.2)
    assert list(file.parent.iterdir()) == []
