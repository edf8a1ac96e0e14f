"""What may come in: every dishonest or broken archive is refused in a sentence, and leaves nothing behind."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from explorer.data import door, uploads
from explorer.data.dataset import DataError
from explorer.data.door import MEGA, Limits, NoPicture
from explorer.data.receive import receive

ME = "a" * 64
NAMES = ("cat/1", "cat/2", "cat/3", "dog/1", "dog/2", "dog/3")
LIMITS = Limits(bytes=2 * MEGA, files=50, pixels=MEGA, all_pixels=10 * MEGA)


@pytest.fixture
def good(png) -> dict[str, bytes]:
    """Members of a set that may come in."""
    return {f"{name}.png": png(i) for i, name in enumerate(NAMES)}


@pytest.fixture
def refusal(uploads_home) -> Callable[..., str]:
    """refusal(archive, use, limits) -> the sentence with which it is refused; nothing is left on the disk then."""

    def refused(archive: Path, use="classes", limits=LIMITS) -> str:
        with pytest.raises(DataError) as error:
            receive(ME, archive, name="brought.zip", use=use, limits=limits)
        sentence = str(error.value)
        assert sentence.endswith(".") and "\n" not in sentence and str(uploads_home) not in sentence
        assert not uploads_home.exists() or list(uploads_home.rglob("*")) == []
        return sentence

    return refused


def with_member(archive: Path, info: zipfile.ZipInfo, content: bytes = b"") -> Path:
    with zipfile.ZipFile(archive, "a") as out, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        out.writestr(info, content)
    return archive


def patched(archive: Path, change: Callable[[bytearray], None]) -> Path:
    """The archive with some bytes changed by hand."""
    raw = bytearray(archive.read_bytes())
    change(raw)
    archive.write_bytes(raw)
    return archive


def heads(raw: bytearray, mark: bytes) -> list[int]:
    """Where records of a kind begin."""
    found, at = [], raw.find(mark)
    while at >= 0:
        found.append(at)
        at = raw.find(mark, at + 1)
    return found


def png_of(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG whose header says this size, whatever its rows hold."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# ---- names


OUTSIDE = (
    "../evil.png", "../../evil.png", "cat/../../evil.png", "cat/..", "..", "/etc/evil.png", "//host/evil.png",
    "/evil.png", "C:/evil.png", "C:evil.png", "c:\\windows\\evil.png", "..\\evil.png", "cat\\..\\..\\evil.png",
    "\\evil.png", "\\\\host\\share\\evil.png", "./../evil.png", "cat/./../../evil.png", ".. /evil.png",
    "cat/... /evil.png", "Z:\\evil.png", "cat//../..//evil.png", "…/../evil.png", "../cat/1.png",
    "a/b/c/../../../../e.png",
)  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_outside_is_refused(name, good, pack, refusal, tmp_path):
    archive = with_member(pack(good), zipfile.ZipInfo(name), b"evil")
    assert "wants to lie outside of its folder" in refusal(archive)
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("letter", [0, 1, 7, 10, 13, 27, 127])
def test_a_name_with_a_control_character_is_refused(letter, good, pack, refusal):
    archive = with_member(pack(good), zipfile.ZipInfo("cat/aZZb.png"), good["cat/1.png"])
    patched(archive, lambda raw: raw.__setitem__(slice(None), raw.replace(b"aZZb", bytes([97, letter, 90, 98]))))
    assert "control characters" in refusal(archive)


@pytest.mark.parametrize("name", ["a" * 201 + ".png", "/".join("abcdefghijklmnopq") + ".png", "é" * 101 + ".png"])
def test_a_name_that_is_too_long_or_too_deep_is_refused(name, good, pack, refusal):
    assert "too long or too deep" in refusal(with_member(pack(good), zipfile.ZipInfo(name), b"x"))


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40) | st.text("./\\:C a\0", max_size=12))
def test_a_name_is_refused_or_stays_below_its_folder(name):
    try:
        parts = door.safe_parts(name, "x.zip")
    except DataError as error:
        assert "\n" not in str(error) and str(error).isprintable()
        return
    root = Path("/somewhere/set")
    assert root in (root.joinpath(*parts), *root.joinpath(*parts).parents)
    assert ".." not in parts and not any("/" in part or "\\" in part or "\0" in part for part in parts)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=20), max_size=4))
def test_an_archive_of_any_names_comes_in_whole_or_not_at_all(tmp_path, png, uploads_home, names):
    archive = tmp_path / "any.zip"
    with zipfile.ZipFile(archive, "w") as out, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, name in enumerate([*NAMES, *names]):
            out.writestr(name if name in NAMES else f"{name}.png", png(i))
    try:
        upload = receive(ME, archive, name="any.zip", use="pictures", limits=LIMITS)
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert uploads.remove(ME, upload.id)
    assert not uploads_home.exists() or list(uploads_home.rglob("*")) == []
    assert {path.name for path in tmp_path.iterdir()} <= {"any.zip", "home"}


# ---- things that are no files


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../secret", "cat/1.png", "."])
def test_a_link_is_refused(target, good, pack, refusal):
    info = zipfile.ZipInfo("cat/link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "holds a link (“cat/link.png”)" in refusal(with_member(pack(good), info, target.encode()))


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_a_device_is_refused(kind, good, pack, refusal):
    info = zipfile.ZipInfo("cat/thing")
    info.external_attr = (kind | 0o666) << 16
    assert "no file" in refusal(with_member(pack(good), info))


@pytest.mark.parametrize("flag", [0x1, 0x40])
def test_a_locked_archive_is_refused(flag, good, pack, refusal):
    def lock(raw: bytearray) -> None:
        for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = heads(raw, mark)[0] + offset
            raw[at : at + 2] = struct.pack("<H", flag)

    assert "locked with a password" in refusal(patched(pack(good), lock))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_way_of_packing_is_refused(method, good, pack, refusal):
    assert "not read here" in refusal(pack(good, method))


@pytest.mark.parametrize("method", [9, 14, 93, 98])
def test_an_unknown_way_of_packing_is_refused(method, good, pack, refusal):
    def change(raw: bytearray) -> None:
        at = heads(raw, b"PK\1\2")[0] + 10
        raw[at : at + 2] = struct.pack("<H", method)

    assert f"method {method}" in refusal(patched(pack(good), change))


# ---- bombs


@pytest.mark.parametrize("inner", ["bomb.zip", "deep.ZIP", "x.tar.gz", "x.7z", "x.rar", "x.tgz", "x.bz2"])
def test_an_archive_inside_is_never_opened(inner, good, pack, uploads_home):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("zeros", bytes(MEGA))
    upload = receive(ME, pack({**good, inner: bomb.getvalue()}), name="x.zip", use="classes", limits=LIMITS)
    assert upload.pictures == 6 and any("unpack what is in there first" in note for note in upload.notes)
    assert not [path for path in uploads_home.rglob("*") if path.name.endswith(inner)]


def test_archives_alone_are_refused(good, pack, refusal):
    assert "unpack what is in there first" in refusal(pack({"a.zip": b"PK", "b.zip": b"PK"}))


@pytest.mark.parametrize("n", [3, 40])
def test_more_than_the_limit_is_refused_before_it_is_unpacked(n, pack, refusal):
    assert "unpacks to" in refusal(pack({f"cat/{i}.bmp": bytes(MEGA) for i in range(n)}))


def test_an_archive_of_repeats_is_refused(pack, refusal):
    large = Limits(bytes=100 * MEGA, files=50, pixels=MEGA)
    assert "archive bomb" in refusal(pack({"cat/1.bmp": bytes(20 * MEGA)}), limits=large)


def test_a_member_that_says_less_than_it_holds_is_refused(good, pack, refusal):
    def shorten(raw: bytearray) -> None:
        for mark, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
            at = heads(raw, mark)[-1] + offset
            raw[at : at + 4] = struct.pack("<I", 10)

    assert "cut off or damaged" in refusal(patched(pack({**good, "dog/z.bmp": bytes(50_000)}), shorten))


def test_what_is_really_read_counts_whatever_the_directory_says(good, pack, tmp_path):
    archive = pack(good)
    with door.opened(archive, "x.zip") as inside:
        member = door.survey(inside, "x.zip", LIMITS).members[0]
        with pytest.raises(DataError, match="unpacks to more than it says"):
            door.unpack(inside, member, tmp_path / "out.png", "x.zip", left=100)


def test_members_that_lie_over_each_other_are_refused(good, pack, refusal):
    def overlap(raw: bytearray) -> None:
        entries = heads(raw, b"PK\1\2")
        raw[entries[1] + 42 : entries[1] + 46] = raw[entries[0] + 42 : entries[0] + 46]

    assert "lie over each other" in refusal(patched(pack(good), overlap))


@pytest.mark.parametrize("n", [51, 150, 201, 1000])
def test_too_many_files_are_refused(n, pack, refusal):
    sentence = refusal(pack({f"cat/{i}.png": b"x" for i in range(n)}))
    assert f"{n:,} files, and 50 at most" in sentence


def test_a_directory_that_is_too_long_is_not_even_read(good, pack, refusal):
    def promise(raw: bytearray) -> None:
        at = raw.rfind(b"PK\5\6")
        raw[at + 12 : at + 16] = struct.pack("<I", 4_000_000_000)

    assert "pack the pictures alone" in refusal(patched(pack(good), promise))


def test_a_long_directory_behind_a_zip64_record_is_not_read_either(good, pack, refusal):
    def promise(raw: bytearray) -> None:
        end = raw[raw.rfind(b"PK\5\6") :]
        at = len(raw) - len(end)
        record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 10**8, 10**8, 10**10, 0)
        raw[at:] = record + struct.pack("<4sIQI", b"PK\6\7", 0, at, 1) + end

    assert "100,000,000 files" in refusal(patched(pack(good), promise))


def test_one_name_twice_is_refused(good, pack, refusal):
    assert "“cat/1.png” twice" in refusal(with_member(pack(good), zipfile.ZipInfo("cat/1.png"), good["cat/2.png"]))


def test_a_name_that_is_a_file_and_a_folder_is_refused(good, pack, refusal):
    assert "as a file and a folder" in refusal(pack({**good, "cat/1.png/x.png": good["cat/1.png"]}))


# ---- broken archives


@pytest.mark.parametrize("content", [b"", b"P", b"PK\3\4", b"GIF89a" + bytes(100), b"<html></html>", bytes(70_000)])
def test_what_is_no_zip_is_refused(content, tmp_path, refusal):
    (tmp_path / "brought.zip").write_bytes(content)
    sentence = refusal(tmp_path / "brought.zip")
    assert "no zip archive" in sentence or "cut off or damaged" in sentence


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999])
def test_a_zip_that_broke_off_is_refused(share, good, pack, refusal):
    archive = pack(good)
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    assert "cut off or damaged" in refusal(archive)


@pytest.mark.parametrize("at", [30, 60, 200, 500])
def test_a_zip_with_a_changed_byte_is_refused(at, good, pack, uploads_home):
    archive = patched(pack(good), lambda raw: raw.__setitem__(at, raw[at] ^ 255))
    with pytest.raises(DataError, match="damaged"):
        receive(ME, archive, name="x.zip", use="classes", limits=LIMITS)
    assert list(uploads_home.rglob("*")) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_no_damage_brings_a_traceback_or_leaves_something(pack, good, uploads_home, changes):
    def damage(raw: bytearray) -> None:
        for at, value in changes:
            raw[at % len(raw)] = value

    try:
        upload = receive(ME, patched(pack(good), damage), name="x.zip", use="pictures", limits=LIMITS)
    except DataError:
        assert list(uploads_home.rglob("*")) == []
    else:
        assert uploads.remove(ME, upload.id)


def test_an_archive_larger_than_the_limit_is_refused_unopened(tmp_path, refusal):
    (tmp_path / "brought.zip").write_bytes(bytes(2 * MEGA + 1))
    assert "2 MB at most" in refusal(tmp_path / "brought.zip")


# ---- single files


NO_PICTURES = {
    "page.png": b"<!doctype html><p>not found",
    "drawing.jpg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "empty.png": b"",
    "cut.gif": b"GIF8",
    "text.webp": b"RIFFxxxxWEBX",
    "script.bmp": b"#!/bin/sh\n",
    "program.tif": b"\x7fELF",
    "sheet.ppm": b"%PDF-1.7",
    "zip.png": b"PK\3\4",
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_a_file_that_is_only_named_like_a_picture_is_left_out_and_told(name, good, pack, uploads_home):
    upload = receive(ME, pack({**good, f"cat/{name}": NO_PICTURES[name]}), name="x.zip", use="classes", limits=LIMITS)
    assert upload.pictures == 6
    assert any("only named like a picture" in note and name in note for note in upload.notes)


@pytest.mark.parametrize("name", ["notes.txt", "logo.svg", "README", "movie.mp4", "a.pdf", "b.html", "run.exe", "x.py"])
def test_a_file_that_is_no_picture_is_left_out_and_told(name, good, pack, uploads_home):
    upload = receive(ME, pack({**good, f"cat/{name}": b"text"}), name="x.zip", use="classes", limits=LIMITS)
    assert upload.pictures == 6 and any("no picture" in note and name in note for note in upload.notes)
    assert not list(uploads_home.rglob(name))


@pytest.mark.parametrize("name", [".DS_Store", "__MACOSX/cat/._1.png", "cat/Thumbs.db", "desktop.ini", ".git/1.png"])
def test_what_a_system_adds_is_left_out_and_told(name, good, pack, uploads_home):
    upload = receive(ME, pack({**good, name: good["cat/1.png"]}), name="x.zip", use="classes", limits=LIMITS)
    assert upload.pictures == 6 and any("system file" in note for note in upload.notes)


@pytest.mark.parametrize("only", [{".DS_Store": b"x"}, {"a.txt": b"x"}, {"a.png": b"x"}, {"a/": b""}, {}])
def test_an_archive_without_a_picture_is_refused(only, pack, refusal):
    assert "There are no pictures in “brought.zip”" in refusal(pack(only))


@pytest.mark.parametrize("size", [(10_000, 10_000), (1_000_000, 101), (60_000, 60_000), (1001, 1000)])
def test_a_picture_of_too_many_pixels_is_left_out_by_its_header(size, good, pack, uploads_home):
    bomb = png_of(*size, rows=bytes(100_000))
    upload = receive(ME, pack({**good, "cat/big.png": bomb}), name="x.zip", use="classes", limits=LIMITS)
    assert upload.pictures == 6 and any("too many pixels" in note and "big.png" in note for note in upload.notes)


def test_pictures_that_are_too_many_pixels_together_are_refused(pack, png, refusal):
    members = {f"cat/{i}.bmp": png(i, (100, 100), "BMP") for i in range(8)}
    few = Limits(bytes=10 * MEGA, files=50, pixels=MEGA, all_pixels=75_000)
    assert "megapixels in all" in refusal(pack(members), limits=few)


@pytest.mark.parametrize(
    ("name", "format", "better"),
    [("a.jpg", "GIF", "a.gif"), ("a.png", "JPEG", "a.jpg"), ("a", "PNG", "a.png"), ("a.jfif", "JPEG", "a.jpg"),
     ("a.JPG", "JPEG", "a.JPG"), ("a.txt", "BMP", "a.bmp"), ("a.tif", "WEBP", "a.webp"), ("a.gif", "TIFF", "a.tif")],
)  # fmt: skip
def test_a_picture_under_a_false_suffix_comes_in_under_its_own(name, format, better, good, pack, png, uploads_home):
    members = {**good, f"cat/{name}": png(9, format=format)}
    upload = receive(ME, pack(members), name="x.zip", use="classes", limits=LIMITS)
    assert upload.pictures == 7 and (upload.folder / "cat" / better).is_file()


def test_a_jpeg_that_calls_itself_a_png_does_not_pass_for_a_mask(pack, png, refusal):
    members = {f"images/{i}.png": png(i) for i in range(4)} | {
        f"masks/{i}.png": png(i, format="JPEG") for i in range(4)
    }
    assert "is a JPEG" in refusal(pack(members), use="masks")


@pytest.mark.parametrize("kind", list(door.SUFFIXES_OF))
def test_each_format_has_a_suffix_that_the_loaders_read(kind):
    assert set(door.SUFFIXES_OF[kind]) <= door.SUFFIXES
    assert kind == "MPO" or kind in Image.OPEN


def test_a_header_is_judged_without_decoding(tmp_path):
    (tmp_path / "big.png").write_bytes(png_of(20_000, 20_000))
    with pytest.raises(NoPicture, match="large"):
        door.look(tmp_path / "big.png", LIMITS)
