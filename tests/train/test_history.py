from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.train.events import (
    Activations,
    EpochDone,
    Failed,
    Finished,
    Note,
    Predictions,
    Progress,
    Started,
    Step,
    Stopped,
    ValidSample,
)
from explorer.train.history import History, fold, fold_all

STARTED = Started(2, 5, 10, 50, 10, ("a", "b"), "CPU · 2 cores", 100, 10, "random")
SAMPLE = ValidSample(("data:,",), (1,))
GUESSES = Predictions(1, (1,), (0.9,), ((5, 0), (1, 4)))
SEEN = Activations(1, ("0.2",), (0.5,), (1.0,), (0.0,))
DONE = EpochDone(1, 0.5, 0.6, (("accuracy", 0.9),), 2.0)

number = st.floats(0, 10, allow_nan=False)
event = st.one_of(
    st.builds(Step, st.integers(1, 12), number, number, number),
    st.sampled_from(
        [STARTED, SAMPLE, GUESSES, SEEN, DONE, Note("n"), Progress("p", 1, 2), Finished(), Stopped(1), Failed("r", 1)]
    ),
)
stamped = st.tuples(event, st.one_of(st.none(), number))


@given(st.lists(stamped, max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_folding_in_chunks_equals_folding_at_once(events, cuts):
    marks = sorted({0, *(min(cut, len(events)) for cut in cuts), len(events)})
    chunked = one_by_one = History()
    for low, high in zip(marks, marks[1:], strict=False):
        chunked = fold_all(chunked, events[low:high])
    for each, at in events:
        one_by_one = fold(one_by_one, each, at)
    assert fold_all(History(), events) == chunked == one_by_one


@given(st.lists(stamped, max_size=40))
def test_a_repeated_delivery_adds_no_step(events):
    steps = [pair for pair in events if isinstance(pair[0], Step)]
    once = fold_all(History(), steps)
    assert fold_all(once, steps) == once
    assert list(once.steps) == sorted(set(once.steps))
    assert len(once.steps) == len(once.losses) == len(once.smooth) == len(once.lrs)


def test_a_whole_run_becomes_curves():
    run = [Note("hello"), Progress("Fetching", 1, 2), STARTED, SAMPLE, Step(1, 2.0, 0.1, 2.0), Step(2, 1.0, 0.2, 1.5)]
    history = fold_all(History(), [(each, float(at)) for at, each in enumerate(run)])
    assert (history.state, history.progress, history.notes) == ("running", None, (Note("hello"),))
    assert (history.steps, history.losses, history.smooth, history.lrs) == ((1, 2), (2.0, 1.0), (2.0, 1.5), (0.1, 0.2))
    assert history.seconds_left == pytest.approx((5 - 2) / 2 * (10 - 2))
    late = fold_all(history, [(DONE, 6.0), (GUESSES, 6.0), (Note("grown", "warn"), 6.5)])
    assert (late.state, late.notes) == ("running", (Note("hello"), Note("grown", "warn")))
    assert fold(late, Finished(4.0), 7.0).notes == late.notes
    history = fold_all(history, [(DONE, 6.0), (GUESSES, 6.0), (SEEN, 6.0), (Finished(4.0), 7.0)])
    assert (history.epochs, history.predictions, history.state) == ((DONE,), GUESSES, "finished")
    assert history.activations == (SEEN,)
    assert history.seconds_left is None and history.kept_epochs == 1


def test_preparation_shows_its_progress_until_the_run_starts():
    history = fold(History(), Progress("Fetching resnet34", 54, 87))
    assert (history.state, history.progress.done) == ("preparing", 54)
    assert fold(history, STARTED).progress is None


@pytest.mark.parametrize(
    ("ending", "state"), [(Finished(), "finished"), (Stopped(1), "stopped"), (Failed("no", 1), "failed")]
)
def test_nothing_changes_after_the_end(ending, state):
    history = fold_all(History(), [(STARTED, 0.0), (DONE, 1.0), (ending, 2.0)])
    assert (history.state, history.kept_epochs) == (state, 1)
    assert history.reason == ("no" if state == "failed" else "")
    assert fold_all(history, [(Step(9, 1.0, 1.0), 3.0), (Note("late"), 3.0)]) == history


def test_a_history_is_frozen_and_folding_leaves_the_old_one_alone():
    old = History()
    fold(old, STARTED, 1.0)
    assert old == History()
    with pytest.raises(FrozenInstanceError):
        old.state = "running"


def test_what_is_no_event_is_refused():
    with pytest.raises(TypeError, match="int is no event"):
        fold(History(), 3)
