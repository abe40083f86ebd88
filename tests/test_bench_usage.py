"""The usage of a process, read while it runs."""

import os
import subprocess
import sys
import time

import pytest
from benchmark import usage
from benchmark.usage import Usage


def test_a_process_that_computes_takes_as_much_as_it_says_itself() -> None:
    before = usage.of_process(os.getpid())
    began = time.process_time()
    while time.process_time() - began < 0.05:
        pass
    spent = usage.of_process(os.getpid()).since(before)
    assert spent.cpu == pytest.approx(time.process_time() - began, abs=0.005)


def test_memory_that_is_touched_first_is_page_faults() -> None:
    before = usage.of_process(os.getpid())
    touched = bytearray(64 << 20)
    faults = usage.of_process(os.getpid()).since(before).faults
    assert faults > 0
    assert len(touched) // faults <= 2 << 20  # with huge pages 2 MiB each


def test_children_count_once_they_have_been_waited_for() -> None:
    before = usage.of_children()
    program = "import time\nwhile time.process_time() < 0.1: pass"
    with subprocess.Popen([sys.executable, "-c", program]) as child:
        while usage.of_process(child.pid).cpu < 0.1:
            time.sleep(0.01)
    spent = usage.of_children().since(before)
    assert spent.cpu >= 0.1
    assert spent.faults > 0


def test_a_process_that_is_gone_has_no_usage() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    with pytest.raises(OSError, match=r"."):
        usage.of_process(child.pid)


def test_what_was_taken_since_is_a_difference() -> None:
    later, earlier = Usage(cpu=3.0, faults=30), Usage(cpu=1.0, faults=10)
    assert later.since(earlier) == Usage(cpu=2.0, faults=20)
