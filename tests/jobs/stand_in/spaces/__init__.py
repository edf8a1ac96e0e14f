"""A stand-in for the package `spaces` of ZeroGPU, after its version 0.51.3, as far as generators go.

Like that one it runs the generator in a thread of a forked process, sends what it yields through a pipe, closes it
after its next yield when the caller's generator is closed, and waits for it then. It lends no GPU and knows no quota:
the durations that were asked for stand in `asked`, and `refusal`, if set, is raised as the real one raises it.
"""

from __future__ import annotations

import inspect
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

asked: list[int] = []
refusal: Exception | None = None
fork = multiprocessing.get_context("fork")


def GPU(task=None, *, duration=None):
    return decorated(task, duration) if callable(task) else lambda task: decorated(task, duration)


def decorated(task, duration):
    if inspect.iscoroutinefunction(task):
        raise NotImplementedError
    assert inspect.isgeneratorfunction(task)

    def lent(*args):
        asked.append(duration(*args) if callable(duration) else duration)
        if refusal:
            raise refusal
        results, stop = fork.Queue(), fork.Event()
        process = fork.Process(target=run, args=(task, args, results, stop), daemon=True)
        process.start()
        try:
            while True:
                kind, value = results.get()
                if kind == "end":
                    return
                if kind == "error":
                    raise RuntimeError(value)
                yield value
        except GeneratorExit:
            stop.set()
            raise
        finally:
            while kind == "value":
                kind, _ = results.get()
            process.join()

    return lent


def run(task, args, results, stop):
    def iterate():
        events = task(*args)
        try:
            for event in events:
                if stop.is_set():
                    events.close()
                    return
                results.put(("value", event))
        except Exception as error:
            results.put(("error", type(error).__name__))

    with ThreadPoolExecutor() as executor:
        executor.submit(iterate)
    results.put(("end", None))
