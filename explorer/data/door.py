"""What may come in: a zip of pictures is looked at before anything of it is unpacked, and each file while it is.

`survey` reads the zip's directory and refuses what is no honest archive of pictures (DataError, one sentence); `unpack`
writes one member and holds it to what the directory promised; `look` looks at a header and decodes nothing.
What merely does not belong, such as a Mac's own files, is no reason to refuse the rest: it is skipped, and counted.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from explorer.data.dataset import DataError
from explorer.data.pictures import FORMATS, SUFFIXES

MEGA = 1_000_000
PIECE = 1 << 18
DIRECTORY_BYTES = 8 * MEGA
"""Beyond that a zip's directory is not even read: it would name some 80,000 files."""
JUNK_TIMES = 4
"""A Mac packs a file of its own beside each picture: so many members for each file that may come in are looked at."""
RATIO, RATIO_FROM = 200, 10 * MEGA
"""Whole archives that promise more than RATIO_FROM bytes and shrink further than this hold nothing but repeats:
pictures are compressed already, and even sheets of one colour reach some 50."""
DEEPEST, LONGEST_PART, LONGEST_NAME = 16, 200, 700

TEXTS = {".csv": 20 * MEGA, ".tsv": 20 * MEGA, "codes.txt": MEGA, "colors.json": MEGA}
"""Files besides pictures that say something about them, by suffix or name, and how large they may be."""
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
JUNK = ("thumbs.db", "desktop.ini", "icon\r")
SUFFIXES_OF = {
    "JPEG": (".jpg", ".jpeg", ".jpe"),
    "MPO": (".jpg", ".jpeg", ".jpe"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm"),
}
"""The names that a picture of each format may end with; the first one is given to those that end otherwise."""


@dataclass(frozen=True)
class Limits:
    """How much may come in at once: bytes, packed and unpacked, files, pixels of a single picture, and of all."""

    bytes: int = 200 * MEGA
    files: int = 5_000
    pixels: int = 25 * MEGA
    all_pixels: int = 4_000 * MEGA


@dataclass(frozen=True)
class Member:
    """A file in an archive that is safe to write: where it goes, below the folder of the set."""

    parts: tuple[str, ...]
    info: zipfile.ZipInfo

    @property
    def name(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True)
class Survey:
    """What of an archive is to be unpacked, and what is left out before that: by reason the names."""

    members: tuple[Member, ...]
    skipped: dict[str, list[str]]


class NoPicture(ValueError):
    """A file that is left out: its reason is one of the keys of REASONS."""


REASONS = {
    "junk": ("system file", "system files", ""),
    "archive": ("archive inside the archive", "archives inside the archive", ": unpack what is in there first"),
    "other": ("file that is no picture", "files that are no pictures", ""),
    "false": ("file that is only named like a picture", "files that are only named like pictures", ""),
    "large": ("picture of too many pixels", "pictures of too many pixels", ": make it smaller"),
    "text": ("text that is too large", "texts that are too large", ""),
}
"""Why something is left out: what it is called alone, and several of it, and what helps."""


# ---- the archive


@contextmanager
def opened(archive: Path, said: str) -> Iterator[zipfile.ZipFile]:
    """A zip, its directory read once it was found small enough; `said` is how the person knows it."""
    try:
        with archive.open("rb") as file:
            _check_directory(file, said)
        inside = zipfile.ZipFile(archive)
    except DataError:
        raise
    except Exception as error:  # zipfile raises BadZipFile, ValueError, struct.error, NotImplementedError, OSError, …
        raise _damaged(said) from error
    with inside:
        yield inside


def survey(inside: zipfile.ZipFile, said: str, limits: Limits) -> Survey:
    """Go through the directory of an archive; nothing is unpacked. Raises DataError."""
    infos = inside.infolist()
    if len(infos) > JUNK_TIMES * limits.files:
        raise _too_many(said, len(infos), limits)
    _check_overlap(infos, said)
    members, skipped, seen = [], {}, set()
    for info in infos:
        parts = safe_parts(info.orig_filename, said)
        _check_kind(info, said)
        if not parts or info.is_dir():
            continue
        reason = _why_left_out(parts, info)
        if reason:
            skipped.setdefault(reason, []).append("/".join(parts))
            continue
        if parts in seen:
            raise DataError(f"“{said}” holds “{'/'.join(parts)}” twice: pack each file once.")
        seen.add(parts)
        members.append(Member(parts, info))
    _check_amount(members, said, limits)
    return Survey(tuple(members), skipped)


def unpack(inside: zipfile.ZipFile, member: Member, target: Path, said: str, left: int) -> int:
    """Write one member to a file that is not there yet; returns its bytes.

    left   bytes that may still come; more, or more than the directory said, is refused while it is read
    """
    done = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with inside.open(member.info) as packed, target.open("xb") as out:
            while piece := packed.read(PIECE):
                done += len(piece)
                if done > min(left, member.info.file_size):
                    raise DataError(
                        f"“{member.name}” in “{said}” unpacks to more than it says: pack the pictures anew."
                    )
                out.write(piece)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataError(f"“{said}” holds “{member.name}” twice, as a file and a folder: pack each once.") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DataError("There is no room left for pictures on this host: try again later.") from error
        raise _damaged(said, member.name) from error
    except DataError:
        raise
    except Exception as error:  # zipfile's decoders raise BadZipFile, zlib.error, EOFError, RuntimeError, struct.error
        raise _damaged(said, member.name) from error
    return done


def safe_parts(name: str, said: str) -> tuple[str, ...]:
    """The name of a member as the parts of a path below a folder; DataError for one that leads anywhere else."""
    path = name.replace("\\", "/")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or any(not part.strip(" .") for part in parts):
        raise DataError(
            f"“{said}” holds a file that wants to lie outside of its folder (“{shown(name)}”): pack the folder itself."
        )
    if parts and parts[-1].lower() in JUNK:
        return parts
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 or 0xD800 <= ord(letter) < 0xE000 for letter in path):
        raise DataError(f"“{said}” holds a name with control characters (“{shown(name)}”): rename that file.")
    lengths = [len(part.encode()) for part in parts]
    if len(parts) > DEEPEST or max(lengths, default=0) > LONGEST_PART or sum(lengths) + len(lengths) > LONGEST_NAME:
        raise DataError(
            f"“{said}” holds a name that is too long or too deep in folders (“{shown(name)}”): "
            f"shorten names to {LONGEST_PART} letters and nest {DEEPEST} folders at most."
        )
    return parts


def shown(name: str, most: int = 60) -> str:
    """A stranger's name as it can stand in a sentence."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _why_left_out(parts: tuple[str, ...], info: zipfile.ZipInfo) -> str:
    """One of REASONS, "" for what is to be unpacked."""
    name = parts[-1].lower()
    if name in JUNK or any(part.startswith((".", "__MACOSX")) for part in parts):
        return "junk"
    if name.endswith(ARCHIVES):
        return "archive"
    limit = text_limit(name)
    return "text" if limit is not None and info.file_size > limit else ""


def text_limit(name: str) -> int | None:
    """How large a file may be that says something about pictures; None for any other name."""
    return TEXTS.get(name.lower(), TEXTS.get(os.path.splitext(name.lower())[1]))


def _check_directory(file: BinaryIO, said: str) -> None:
    """Refuse what is no zip, and one whose directory is too long to be read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 65_557))
    tail = file.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) < end + 22:
        file.seek(0)
        begins = file.read(4) == b"PK\3\4"
        raise (
            _damaged(said)
            if begins
            else DataError(f"“{said}” is no zip archive: pack the pictures into a zip, or drop their folder itself.")
        )
    entries, length = struct.unpack("<HL", tail[end + 10 : end + 16])
    if end >= 20 and tail[end - 20 : end - 16] == b"PK\6\7":
        file.seek(min(size, struct.unpack("<Q", tail[end - 12 : end - 4])[0]))
        record = file.read(56)
        if record[:4] != b"PK\6\6" or len(record) < 56:
            raise _damaged(said)
        entries, length = struct.unpack("<QQ", record[32:48])
    if length > DIRECTORY_BYTES:
        raise DataError(f"“{said}” names {entries:,} files in {length / MEGA:.0f} MB: pack the pictures alone.")
    file.seek(0)


def _check_kind(info: zipfile.ZipInfo, said: str) -> None:
    """Refuse links, devices, locked files and ways of packing that are not read here."""
    name, kind = shown(info.filename), stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise DataError(f"“{said}” holds a link (“{name}”): pack the file itself instead.")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"“{said}” holds a thing that is no file (“{name}”): pack pictures alone.")
    if info.flag_bits & 0x41:
        raise DataError(f"“{said}” is locked with a password (“{name}”): pack the pictures without one.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"“{name}” in “{said}” is packed by method {info.compress_type}, which is not read here: "
            "pack the pictures into an ordinary zip."
        )


def _check_overlap(infos: list[zipfile.ZipInfo], said: str) -> None:
    """Refuse members that share bytes: so a small archive can unpack to any size."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise DataError(f"Files in “{said}” lie over each other, as in an archive bomb: pack the pictures anew.")
        end = info.header_offset + 30 + info.compress_size


def _check_amount(members: list[Member], said: str, limits: Limits) -> None:
    if len(members) > limits.files:
        raise _too_many(said, len(members), limits)
    promised = sum(member.info.file_size for member in members)
    packed = sum(member.info.compress_size for member in members)
    if promised > limits.bytes:
        raise DataError(
            f"“{said}” unpacks to {promised / MEGA:,.0f} MB, and {limits.bytes / MEGA:.0f} MB at most may come in: "
            "bring fewer pictures, or smaller ones."
        )
    if promised > RATIO_FROM and promised > RATIO * packed:
        raise DataError(
            f"“{said}” unpacks to {promised / max(1, packed):,.0f} times its size, as an archive bomb does: "
            "pack pictures, which hardly shrink."
        )


def _too_many(said: str, n: int, limits: Limits) -> DataError:
    return DataError(f"“{said}” holds {n:,} files, and {limits.files:,} at most may come in: bring fewer.")


def _damaged(said: str, name: str = "") -> DataError:
    at = f" at “{shown(name)}”" if name else ""
    return DataError(f"“{said}” is cut off or damaged{at}: pack it anew and bring it again.")


# ---- single files


def look(path: Path, limits: Limits) -> tuple[str, int]:
    """The suffix that a picture's name should have, and its pixels, by its header; nothing is decoded.

    Raises NoPicture with one of REASONS.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=FORMATS) as image:
                width, height, kind = *image.size, image.format
        except Image.DecompressionBombError as error:
            raise NoPicture("large") from error
        except Exception as error:  # see `pictures.fault`
            raise NoPicture("false" if path.suffix.lower() in SUFFIXES else "other") from error
    if width * height > limits.pixels:
        raise NoPicture("large")
    usual = SUFFIXES_OF[kind]
    return path.suffix if path.suffix.lower() in usual else usual[0], width * height


def told(skipped: dict[str, list[str]]) -> list[str]:
    """What was left out, one sentence a reason."""
    said = []
    for reason, names in skipped.items():
        one, many, hint = REASONS[reason]
        first = f"“{shown(names[0].rpartition('/')[2])}”"
        what = f"one {one}, {first}" if len(names) == 1 else f"{len(names):,} {many}, such as {first}"
        said.append(f"Left out: {what}{hint}.")
    return said
