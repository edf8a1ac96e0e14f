"""A sweep from the command line: prints the table and writes it as CSV and JSON.

python -m explorer.jobs.sweep --arch resnet18 --set head.pool=concat,avg,max --seeds 3 --epochs 2

It trains where EXPLORER_RUNNER says, and keeps the runs where the app does: with `--me` and the secret of a browser
they stand in that browser's list.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from explorer import link
from explorer.files import write_whole
from explorer.jobs.queue import Queue, is_secret
from explorer.jobs.runner import open_runner
from explorer.jobs.store import Store
from explorer.jobs.sweeps import as_csv, as_json, markdown, rows_of, stop_all, submit_all, wait_for_all
from explorer.jobs.worker import FIT
from explorer.spec import SpecError
from explorer.sweep import MOST_RUNS, Entry, designed, read_knob, sweep


def main(args: Sequence[str] | None = None, *, fit: str = FIT) -> int:
    """The command line; 0 where every run finished, 1 where some did not, 2 for what cannot be meant."""
    given = parser().parse_args(args)
    try:
        entries = entries_of(given)
        if given.me and not is_secret(given.me):
            raise SpecError("me", "A browser's secret has 24 to 64 letters, digits, - and _.")
        if given.dry:
            print("\n".join(f"seed {entry.seed}: {dict(entry.setting)}" for entry in entries))
            return 0
        return carry_out(entries, given.me, given.out, fit)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    parser = argparse.ArgumentParser(prog="python -m explorer.jobs.sweep", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--family", choices=sorted(link.SPECS), default="classifier", help="what is trained (default: %(default)s)")
    add("--link", default="", help="the query of a link from the app: the design to begin with")
    add("--arch", help="the body, short for --set body.arch=…")
    add("--epochs", type=int, help="epochs of each run")
    add("--data", help="the set to train on")
    add("--set", action="append", default=[], metavar="KNOB=VALUES", help='"head.pool=concat,avg"; may be repeated')
    add("--seeds", type=int, default=1, help="how many seeds each setting gets (default: %(default)s)")
    add("--most", type=int, default=MOST_RUNS, help="refuse more runs than this (default: %(default)s)")
    add("--me", help="the secret of the browser whose runs these are")
    add("--out", type=Path, default=Path("sweep"), help="OUT.csv and OUT.json are written (default: %(default)s)")
    add("--dry", action="store_true", help="only say what would be trained")
    return parser


def entries_of(given: argparse.Namespace) -> tuple[Entry, ...]:
    """The runs that a command line means. Raises SpecError."""
    query = given.link.partition("?")[2] or given.link
    start = link.decode(query or f"family={given.family}")
    if start.problems:
        raise SpecError("link", start.problems[0])
    asked = {"body.arch": given.arch, "train.data": given.data, "train.epochs": given.epochs}
    fixed = tuple((place, value) for place, value in asked.items() if value is not None)
    spec, train = designed(start.spec, start.train, fixed)
    knobs = [read_knob(type(spec), text) for text in given.set]
    if len(dict(knobs)) < len(knobs):
        raise SpecError("sweep", "A knob is named twice: give all its values at once.")
    return sweep(spec, train, dict(knobs), given.seeds, given.most)


def carry_out(entries: Sequence[Entry], me: str | None, out: Path, fit: str) -> int:
    """Train them all, print and write the table. Ctrl-C stops what still trains, and tells what there is."""
    store = Store.at_home()
    with Queue(store, runner=open_runner(store, fit=fit)) as queue:
        runs = submit_all(queue, entries, me=me)
        try:
            wait_for_all(queue, runs, tell=lambda done, of: print(f"{done} of {of} runs", file=sys.stderr, flush=True))
        except KeyboardInterrupt:
            stop_all(queue, runs)
            wait_for_all(queue, runs)
        rows = rows_of(entries, [store.run(run.id) for run in runs])
    print(markdown(rows))
    write_whole(out.with_suffix(".csv"), lambda path: path.write_text(as_csv(rows), encoding="utf-8"))
    write_whole(out.with_suffix(".json"), lambda path: path.write_text(as_json(rows, entries, runs), encoding="utf-8"))
    return 1 if any(row.failed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
