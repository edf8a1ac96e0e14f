"""The server's side of the decoder race: plans one, starts its runs one after another, tells how it stands.

A race has never more runs in line than keep the workers busy, so that somebody else's run is not behind all of them.
It goes on when its page is closed. When the app ends it ends too: what its runs have told stands in the store, and the
page, which knows their names, finds it there.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from explorer import link
from explorer.jobs.pace import Pace, drawn_pictures, effort_of
from explorer.jobs.queue import Queue, QueueFull, Run, is_run_id
from explorer.jobs.record import family_of, spec_from_dict, train_from_dict
from explorer.jobs.store import RunRecord, Store, hash_token
from explorer.race import MOST_SEEDS, RACERS, label_of, race_specs
from explorer.spec import SpecError, TrainSpec, UnetSpec, size_text
from explorer.trace.tracer import trace
from explorer.train.events import EpochDone, Event, Outputs, PictureSample, from_dict
from explorer.views.race import WAITING, Lane, Racer, standing

Entry = tuple[str, UnetSpec, TrainSpec]

KEPT_RACES = 32
MOST_RACES = 4  # under way at once, of everybody
MOST_TEXT = 5000  # characters of a model as JSON
PAUSE, LONG_PAUSE = 0.5, 5.0  # seconds between two looks at the line; where it is full
FULL = f"{MOST_RACES} races are under way already: try again when one of them has ended."
RELOAD = "The page asked for a race that cannot be read: reload it."
TOLD = tuple(f'{{"event": "{kind.__name__}"' for kind in (EpochDone, PictureSample, Outputs))
"""How the JSON texts of those events begin that a race listens to."""


@dataclass
class Follower:
    """What one run has told so far, read from the store as it grows."""

    run_id: str
    cursor: int = 0
    epochs: list[EpochDone] = field(default_factory=list)
    sample: PictureSample | None = None
    outputs: Outputs | None = None

    def catch_up(self, store: Store) -> RunRecord:
        """Read what is new; the run's record."""
        while True:
            look = store.look(self.run_id, self.cursor, 500)
            for self.cursor, _, text in look.events:
                if text.startswith(TOLD):
                    self._hear(from_dict(json.loads(text)))
            if self.cursor >= look.n:
                return look.run

    def _hear(self, event: Event) -> None:
        match event:
            case EpochDone():
                self.epochs.append(event)
            case PictureSample():
                self.sample = event
            case Outputs():
                self.outputs = event


@dataclass
class Race:
    """A race: what is to be run, and those runs that are in line or further; `ending` is set when no more may begin."""

    id: str
    token: str
    entries: tuple[Entry, ...]
    racers: tuple[Racer, ...]
    me: object = None
    runs: list[Run] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def start_next(self, queue: Queue) -> None:
        """Put the next run in line. Raises QueueFull and SpecError."""
        with self.lock:
            if not self.ending.is_set() and len(self.runs) < len(self.entries):
                _, spec, train = self.entries[len(self.runs)]
                run = queue.submit(spec, train, me=self.me)
                self.runs.append(run)
                self.followers.append(Follower(run.id))

    def unfinished(self, store: Store) -> int:
        """How many of its runs wait or train."""
        return sum(store.run(run.id).state in WAITING for run in list(self.runs))

    def lanes(self, store: Store) -> list[Lane]:
        """All runs as they stand, also those that are not in line yet."""
        with self.lock:
            lanes = [
                _lane(entry, follower, follower.catch_up(store))
                for entry, follower in zip(self.entries, self.followers, strict=False)
            ]
            rest = "stopped" if self.ending.is_set() else "waiting"
            return lanes + [Lane(label, train.seed, rest) for label, _, train in self.entries[len(lanes) :]]


class RaceDesk:
    """Races of all pages.

    count_pictures  (spec, train) -> pictures that an epoch trains on and checks on, None where it is not known
    at_once         how many runs of one race may wait or train; one more than there are places, by default
    """

    def __init__(
        self,
        queue: Queue,
        *,
        count_pictures: Callable[[UnetSpec, TrainSpec], tuple[int, int] | None] | None = None,
        at_once: int | None = None,
    ):
        self._queue, self.pace = queue, Pace(queue.store)
        self._count_pictures = count_pictures or drawn_pictures
        self._at_once = at_once
        self._races: dict[str, Race] = {}
        self._lock, self._one_plan = threading.Lock(), threading.Lock()

    # ---- what the page's handler calls ----

    def begin(self, spec: object, train: object, seeds: object, me: object = None) -> dict:
        """Start a race: {"race": id, "token": what stops it}, or {"problem": one sentence}; "at" tells answers apart.

        me  the secret of whose runs these are

        The specs are the page's, read and checked as for Train.
        """
        try:
            race = self._open(spec, train, seeds, me)
        except (SpecError, QueueFull) as error:
            return {"problem": f"Not started. {error}", "at": time.monotonic()}
        return {"race": race.id, "token": race.token, "at": time.monotonic()}

    def _open(self, spec: object, train: object, seeds: object, me: object) -> Race:
        if not isinstance(train, TrainSpec):
            raise SpecError("train", RELOAD)
        entries = race_specs(spec, train, seeds)
        race = Race(secrets.token_urlsafe(12), secrets.token_urlsafe(24), entries, racers_of(entries), me)
        with self._lock:
            if sum(self._goes_on(other) for other in self._races.values()) >= MOST_RACES:
                raise QueueFull(FULL)
            race.start_next(self._queue)
            self._races[race.id] = race
            while len(self._races) > KEPT_RACES:
                oldest = next(iter(self._races))
                self._races.pop(oldest)
        threading.Thread(target=self._drive, args=(race,), name="decoder race", daemon=True).start()
        return race

    def _goes_on(self, race: Race) -> bool:
        begun_all = race.ending.is_set() or len(race.runs) == len(race.entries)
        return not begun_all or race.unfinished(self._queue.store) > 0

    def _drive(self, race: Race) -> None:
        """Keep the race's runs coming until all are in line or somebody stops it."""
        while not race.ending.is_set() and len(race.runs) < len(race.entries):
            pause = PAUSE
            try:
                if race.unfinished(self._queue.store) < (self._at_once or self._queue.places() + 1):
                    race.start_next(self._queue)
            except QueueFull:
                pause = LONG_PAUSE
            except SpecError:
                race.ending.set()
            race.ending.wait(pause)

    # ---- what the widget calls ----

    def functions(self) -> list[Callable]:
        """What `Explorer.race` calls; anyone can, so each checks what it is given."""

        def race_plan(asked: object) -> dict:
            """{"spec": text, "seeds"} -> {"racers": [{"label", "params", "macs"}], "seconds": about, or None}."""
            return self._answered(asked, self._plan)

        def race_look(asked: object) -> dict:
            """{"race": id, "runs": ids, "seed", "seen": mark of the pictures shown} -> `standing`, "runs", "pictures".

            {"state": "gone"} where nothing is known of it.
            """
            return self._answered(asked, self._look)

        def race_stop(asked: object) -> dict:
            """{"race": id, "token"} -> {"text": one sentence}: nothing more begins, what trains stops."""
            return self._answered(asked, self._stop)

        return [race_plan, race_look, race_stop]

    def _answered(self, asked: object, answer: Callable[[Mapping], dict]) -> dict:
        try:
            return answer(_mapping(asked))
        except SpecError as error:
            return {"error": str(error)}
        except (RuntimeError, MemoryError):
            return {"error": "The decoders could not be looked at here: choose a smaller image or a smaller body."}

    def _plan(self, asked: Mapping) -> dict:
        spec, train = read_text(asked.get("spec"))
        with self._one_plan:
            entries = race_specs(spec, train, asked.get("seeds"))
            racers = racers_of(entries)
            return {"racers": [vars(racer) for racer in racers], "seconds": self._seconds(entries)}

    def _seconds(self, entries: tuple[Entry, ...]) -> float | None:
        """About how long a race takes when nobody else trains."""
        _, spec, train = entries[0]
        pictures = self._count_pictures(spec, train)
        if pictures is None:
            return None
        return sum(self.pace.seconds(effort_of(trace(spec)), spec, train, pictures) for _, spec, train in entries)

    def _look(self, asked: Mapping) -> dict:
        race = self._races.get(asked.get("race")) if isinstance(asked.get("race"), str) else None
        race = race or self._found_again(asked.get("runs"))
        if race is None:
            return {"state": "gone"}
        with race.lock:
            lanes = race.lanes(self._queue.store)
            sample = next((follower.sample for follower in race.followers if follower.sample), None)
            _, spec, train = race.entries[0]
            answer = standing(race.racers, lanes, train.epochs, sample.baseline_scores if sample else ())
            pictures = _pictures(race, sample, asked.get("seed"))
            return {
                **answer,
                "runs": [follower.run_id for follower in race.followers],
                "title": f"{spec.body.arch} at {size_text(spec.body.size)} px, {_count(train.epochs, 'epoch')} each",
                "pictures": None if pictures and pictures["mark"] == asked.get("seen") else pictures,
            }

    def _found_again(self, runs: object) -> Race | None:
        """A race that this app does not know, from the names of its runs: all over, so no more begin."""
        if not isinstance(runs, list) or not 0 < len(runs) <= MOST_SEEDS * len(RACERS):
            return None
        records = [self._queue.store.run(run) for run in runs if is_run_id(run)]
        entries, followers = [], []
        for record in records:
            if record is not None and record.family == family_of(UnetSpec()):
                spec = spec_from_dict(record.family, record.spec)
                entries.append((label_of(spec.decoder), spec, train_from_dict(record.train)))
                followers.append(Follower(record.id))
        if not entries:
            return None
        race = Race("", "", tuple(entries), racers_of(tuple(entries)), followers=followers)
        race.ending.set()
        return race

    def _stop(self, asked: Mapping) -> dict:
        race, token = self._races.get(str(asked.get("race"))), asked.get("token")
        if race is None:
            return {"text": "There is no such race any more."}
        if not isinstance(token, str) or not secrets.compare_digest(hash_token(token), hash_token(race.token)):
            return {"text": "Only whoever started this race can stop it."}
        race.ending.set()
        with race.lock:
            for run in race.runs:
                self._queue.stop(run.id, run.token)
        return {"text": "The race is stopped; what its runs have told stays."}


def racers_of(entries: tuple[Entry, ...]) -> tuple[Racer, ...]:
    """The decoders of a race with their sizes; SpecError, which names the decoder, for one that does not run."""
    specs = {label: spec for label, spec, _ in entries}
    return tuple(_racer(label, specs[label]) for label in RACERS if label in specs)


def _racer(label: str, spec: UnetSpec) -> Racer:
    found = trace(spec)
    if found.failure is not None:
        raise SpecError("decoder", f"{label}: {found.failure.reason}")
    return Racer(label, found.totals.params, found.totals.macs)


def read_text(text: object) -> tuple[UnetSpec, TrainSpec]:
    """The model and the training that a page's text means; SpecError for what is none."""
    if not isinstance(text, str) or len(text) > MOST_TEXT:
        raise SpecError("spec", RELOAD)
    decoded = link.from_json(text)
    if decoded.problems or not isinstance(decoded.spec, UnetSpec):
        raise SpecError("spec", decoded.problems[0] if decoded.problems else RELOAD)
    return replace(decoded.spec, body=replace(decoded.spec.body, weights="random")), decoded.train


def _lane(entry: Entry, follower: Follower, record: RunRecord) -> Lane:
    label, _, train = entry
    until = record.ended or time.time()
    seconds = until - record.started if record.started else 0.0
    return Lane(label, train.seed, record.state, tuple(follower.epochs), record.reason, seconds, _painted(follower))


def _painted(follower: Follower) -> str:
    """The class that a run's last masks have right anywhere, where it is the only one; else ""."""
    if follower.sample is None or follower.outputs is None:
        return ""
    shares = zip(follower.sample.classes, follower.outputs.per_class, strict=False)
    found = [name for name, share in shares if share]
    return found[0] if len(found) == 1 else ""


def _pictures(race: Race, sample: PictureSample | None, seed: object) -> dict | None:
    """The same valid pictures by each decoder, of one seed: that asked for, else the first."""
    if sample is None:
        return None
    seeds = sorted({train.seed for _, _, train in race.entries})
    seed = seed if isinstance(seed, int) and seed in seeds else seeds[0]
    runs = {
        label: follower
        for (label, _, train), follower in zip(race.entries, race.followers, strict=False)
        if train.seed == seed
    }
    sample = next((follower.sample for follower in runs.values() if follower.sample), sample)
    made = {label: follower.outputs for label, follower in runs.items() if follower.outputs}
    return {
        "mark": ",".join([str(seed), *(f"{label}:{outputs.epoch}" for label, outputs in made.items())]),
        "seed": seed,
        "seeds": seeds,
        "task": sample.task,
        "inputs": sample.baselines or sample.inputs,
        "each": sample.baseline_each,
        "targets": sample.targets or (sample.style,) * len(sample.inputs),
        "made": {
            label: {"epoch": outputs.epoch, "images": outputs.images, "scores": outputs.scores}
            for label, outputs in made.items()
        },
    }


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _mapping(asked: object) -> Mapping:
    if isinstance(asked, list) and len(asked) == 1:
        asked = asked[0]
    if not isinstance(asked, Mapping):
        raise SpecError("race", RELOAD)
    return asked
