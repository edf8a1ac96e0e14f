"""Who is alive, how a process ended, and that children do not outlive their parent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from explorer.jobs import process
from explorer.jobs.worker import ROOT

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(300)
"""
CHILD = """
import sys, threading, time
from explorer.jobs import process
{start}
print("ready", flush=True)
time.sleep(300)
"""


def test_a_process_is_known_by_number_and_birth():
    mark = process.birth_mark(os.getpid())
    assert mark
    assert process.is_alive(os.getpid(), mark)
    assert not process.is_alive(os.getpid(), "another birth")
    assert not process.is_alive(None, None)


def test_a_dead_process_is_not_alive_even_before_it_is_waited_for(wait_for):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    mark = process.birth_mark(child.pid)
    assert process.is_alive(child.pid, mark)
    child.kill()
    assert wait_for(lambda: not process.is_alive(child.pid, mark))
    child.wait()
    assert process.birth_mark(child.pid) == ""


@pytest.mark.parametrize(
    "start",
    [
        "process.die_with(int(sys.argv[1]))",
        "threading.Thread(target=process.watch_parent, args=(int(sys.argv[1]), .05), daemon=True).start()",
    ],
    ids=["as on this system", "by watching"],
)
def test_a_child_dies_with_its_killed_parent(start, wait_for):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD.format(start=start)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    with parent:
        child = int(parent.stdout.readline())
        mark = process.birth_mark(child)
        assert process.is_alive(child, mark)
        parent.kill()
        assert wait_for(lambda: not process.is_alive(child, mark))


def test_a_child_whose_parent_has_gone_already_does_not_begin():
    code = "from explorer.jobs.process import die_with; die_with(1 << 21); print('began')"
    if sys.platform != "linux":
        pytest.skip("elsewhere a thread watches")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    "code, line, words",
    [
        (-9, "", "killed (signal 9); most often the machine ran out of memory: try a smaller batch or image size."),
        (-11, "", "ended by signal 11 (SIGSEGV): it left no word."),
        (-64 - 900, "x", "signal 964 (unknown): x."),
        (3, "disk full", "ended with exit code 3: disk full."),
        (0, "", "ended without a result"),
    ],
)
def test_an_exit_is_told_in_one_sentence(code, line, words):
    assert words in process.describe_exit(code, line)


@pytest.mark.parametrize(
    "log, line",
    [
        (b"first\nlast one.\n\n  \n", "last one"),
        (b"good\n\x00\x01\n", "good"),
        (b"\xff\xfe bytes\x1b[31m", "\ufffd\ufffd bytes[31m"),
        (b"y" * 100_000, "y" * 300),
        (b"", ""),
    ],
)
def test_the_last_line_of_a_log_is_its_last_printable_one(tmp_path, log, line):
    (tmp_path / "log").write_bytes(log)
    assert process.last_line(tmp_path / "log") == line


def test_a_log_that_is_not_there_has_no_last_line(tmp_path):
    assert process.last_line(tmp_path / "none") == ""


@pytest.mark.parametrize("text, cores", [("200000 100000\n", 2.0), ("150000 100000\n", 1.5), ("max 100000\n", 2.0**20)])
def test_a_container_may_use_its_share(tmp_path, text, cores):
    (tmp_path / "cpu.max").write_text(text)
    assert process.container_cores(tmp_path / "cpu.max") == cores
    assert process.container_cores(tmp_path / "none") == 2.0**20
    assert 1 <= process.usable_cores() <= os.cpu_count()


def test_who_steps_back_has_less_of_a_claim_to_the_processor():
    code = (
        "import os; from explorer.jobs.process import step_back; old = os.nice(0); step_back(); print(old, os.nice(0))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    before, after = map(int, found.stdout.split())
    assert after == min(19, before + 10)
