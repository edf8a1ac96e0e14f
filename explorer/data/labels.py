"""A CSV of names and labels beside pictures -> the class of each picture, and its split where a column says so.

A header may be there or not; the delimiter is a comma, semicolon, tab or bar. The column of names is the one whose
cells name pictures (with or without folders and suffix); the label's is called label, class and the like, or is the
only other one; is_valid or split hold back what they say.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from explorer.data.dataset import DataError

USUAL = ("labels.csv", "train.csv", "labels.tsv", "train.tsv")
"""The file that is taken of several."""
LABEL_NAMES = ("label", "labels", "class", "classes", "category", "target", "species", "breed", "tag", "tags", "y")
SPLIT_NAMES = ("is_valid", "valid", "split", "subset", "set", "partition")
TRAIN_WORDS = ("train", "training", "false", "0", "no", "")
VALID_WORDS = ("valid", "val", "validation", "true", "1", "yes")
OTHER_WORDS = ("test", "testing")
DELIMITERS = ",;\t|"
LONGEST_LABEL = 80
MOST_ROWS, MOST_COLUMNS = 200_000, 100

Row = list[str]


@dataclass(frozen=True)
class Labels:
    """What a CSV says.

    of       label of each picture that it names, by the picture's name below the folder ("images/a.jpg")
    held     names of those that are to be held back; None where no column says so
    notes    what of the file was of no use
    """

    of: Mapping[str, str]
    held: frozenset[str] | None = None
    notes: tuple[str, ...] = field(default=())


def find_labels(tables: Sequence[Path], pictures: Sequence[str]) -> Labels | None:
    """Labels from one of these files for pictures, named by their paths below the folder.

    None where no file names any of the pictures. Raises DataError for one that does and cannot be understood.
    """
    told = [table for table in tables if table.name.lower() in USUAL]
    chosen = told[:1] or list(tables)
    read = {table: _rows(table) for table in chosen}
    book = _Book(pictures)
    naming = [table for table, rows in read.items() if rows and book.count(rows)]
    if len(naming) > 1:
        names = " and ".join(f"“{table.name}”" for table in naming[:3])
        raise DataError(f"{names} both name pictures: call the one with the labels labels.csv.")
    if naming:
        return _labels(naming[0].name, read[naming[0]], book)
    empty = next((table for table, rows in read.items() if table.name.lower() in USUAL and len(rows) < 2), None)
    if empty:
        raise DataError(f"“{empty.name}” holds no rows: write a picture's name and its label into each line.")
    return None


class _Book:
    """Pictures by all the ways in which a table may name them."""

    def __init__(self, pictures: Sequence[str]):
        self._by: dict[str, str | None] = {}
        for name in pictures:
            path = PurePosixPath(name)
            for key in {name, path.name, path.stem, path.with_suffix("").as_posix()}:
                self._by[key.lower()] = None if self._by.get(key.lower(), name) != name else name
        for name in pictures:
            self._by[name.lower()] = name

    def find(self, cell: str) -> str | None:
        """The picture that a cell names; None for none, and where several bear the name."""
        plain = cell.strip().replace("\\", "/").lower().removeprefix("./")
        return self._by.get(plain) or self._by.get(PurePosixPath(plain).name)

    def count(self, rows: Sequence[Row]) -> int:
        return sum(any(self.find(cell) for cell in row) for row in rows[:1000])


def _rows(table: Path) -> list[Row]:
    """The rows of a file that are not empty."""
    text = _text(table)
    delimiter = _delimiter(text)
    try:
        lines = islice(csv.reader(io.StringIO(text), delimiter=delimiter), MOST_ROWS + 1)
        rows = [row for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(f"“{table.name}” is no table ({error}): write a name and a label a line.") from error
    if len(rows) > MOST_ROWS:
        raise DataError(f"“{table.name}” has more than {MOST_ROWS:,} rows, which is all that are read: shorten it.")
    if max(map(len, rows), default=0) > MOST_COLUMNS:
        raise DataError(f"“{table.name}” has more than {MOST_COLUMNS} columns: keep those of names and labels.")
    return rows


def _text(table: Path) -> str:
    raw = table.read_bytes()
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"“{table.name}” is not written in UTF-8 (byte {error.start:,}): save it anew as “CSV UTF-8”."
        ) from error
    if "\0" in text:
        raise DataError(f"“{table.name}” is no text: save the table as CSV.")
    return text


def _delimiter(text: str) -> str:
    """The mark that stands in every one of the first lines, and most often."""
    lines = [line for line in text[:100_000].splitlines()[:50] if line.strip()]
    everywhere = [mark for mark in DELIMITERS if lines and all(mark in line for line in lines)]
    return max(everywhere or DELIMITERS, key=text[:10_000].count)


# ---- which column says what


def _labels(name: str, rows: list[Row], book: _Book) -> Labels:
    header = None if any(book.find(cell) for cell in rows[0]) else [cell.strip().lower() for cell in rows[0]]
    body = rows[1:] if header else rows
    width = max(len(row) for row in rows)
    columns = [[row[i].strip() if i < len(row) else "" for row in body] for i in range(width)]
    names = max(range(width), key=lambda i: sum(book.find(cell) is not None for cell in columns[i]))
    split = _split_column(header, columns, names)
    label = _label_column(name, header, width, names, split)
    return _read(name, columns[names], columns[label], columns[split] if split is not None else None, book)


def _split_column(header: Row | None, columns: list[list[str]], names: int) -> int | None:
    words = {*TRAIN_WORDS, *VALID_WORDS, *OTHER_WORDS}
    for i, cells in enumerate(columns):
        named = header is None or (i < len(header) and header[i] in SPLIT_NAMES)
        seen = {cell.lower() for cell in cells}
        telling = seen <= words and (header is not None or (len(columns) > 2 and i > 0 and len(seen) > 1))
        if i != names and named and telling:
            return i
    return None


def _label_column(name: str, header: Row | None, width: int, names: int, split: int | None) -> int:
    others = [i for i in range(width) if i not in (names, split)]
    called = [i for i in others if header and i < len(header) and header[i] in LABEL_NAMES]
    if called:
        return called[0]
    if not others:
        raise DataError(f"“{name}” names pictures and gives them no label: add a column label.")
    if len(others) > 1 and header:
        shown = ", ".join(header[i] or f"number {i + 1}" for i in others[:6])
        raise DataError(f"“{name}” has {len(others)} columns besides the names ({shown}): call one of them label.")
    return others[0]


def _read(name: str, names: list[str], labels: list[str], splits: list[str] | None, book: _Book) -> Labels:
    of: dict[str, str] = {}
    held: set[str] = set()
    lost, bare, torn = Missed("name a picture that is not there"), Missed("have no label"), Missed("contradict another")
    for cell, label, split in zip(names, labels, splits or [""] * len(names), strict=True):
        picture = book.find(cell)
        if split.lower() in OTHER_WORDS:
            continue
        if not picture:
            lost.add(cell)
        elif not label:
            bare.add(cell)
        elif of.get(picture, label) != label:
            torn.add(cell)
        else:
            of[picture] = label[:LONGEST_LABEL]
            held |= {picture} if split.lower() in VALID_WORDS else set()
    if not of:
        worst = max((lost, bare, torn), key=lambda missed: missed.n)
        raise DataError(
            f"No row of “{name}” can be used ({worst.n} {worst.what}, such as “{worst.first}”): "
            "write the name of a picture and its label into each line."
        )
    if len(set(of.values())) < 2:
        raise DataError(
            f"“{name}” gives all pictures one label, “{next(iter(of.values()))}”: a classifier needs two at least."
        )
    told = [missed for missed in (lost, bare, torn) if missed.n]
    notes = [f"Rows of “{name}” that {missed.what}: {missed.n}, such as “{missed.first}”." for missed in told]
    if splits is not None and (not held or len(held) == len(of)):
        notes.append(f"“{name}” holds back {'none' if not held else 'all'} of the pictures: a share is drawn instead.")
        splits = None
    few = [label for label, n in Counter(of.values()).items() if n < 2]
    if few and splits is None:
        notes.append(f"Labels with one picture only were left out: {', '.join(f'“{label}”' for label in few[:4])}.")
        of = {picture: label for picture, label in of.items() if label not in few}
    if len(set(of.values())) < 2:
        raise DataError(f"In “{name}” fewer than two labels have two pictures: bring more pictures of each class.")
    return Labels(of, None if splits is None else frozenset(held), tuple(notes))


@dataclass
class Missed:
    """Rows of one kind that are of no use: how many, and the first."""

    what: str
    n: int = 0
    first: str = ""

    def add(self, cell: str) -> None:
        self.n += 1
        self.first = self.first or cell[:60]
