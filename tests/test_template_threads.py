"""Calls in a bounded number of threads."""

from __future__ import annotations

import gc
import threading
import weakref

from serving.threads import Threads


def test_runs_as_many_at_once_as_it_may_and_the_rest_in_order() -> None:
    threads = Threads(2, "test")
    gate, over = threading.Event(), threading.Event()
    running: list[int] = []
    at_once: list[int] = []
    lock = threading.Lock()

    def call(number: int) -> None:
        with lock:
            running.append(number)
            at_once.append(len(running))
        gate.wait()
        with lock:
            running.remove(number)
            if number == 9:
                over.set()

    for number in range(10):
        threads.submit(call, number)
    gate.set()

    assert over.wait(10)
    assert max(at_once) <= 2


def test_starts_a_thread_for_each_call_that_finds_none_idle() -> None:
    threads = Threads(3, "test")
    together = threading.Barrier(4)

    for _ in range(3):
        threads.submit(together.wait, 10)

    together.wait(10)


def test_keeps_nothing_of_a_call_that_is_over() -> None:
    class Argument:
        pass

    threads = Threads(1, "test")
    argument = Argument()
    seen = weakref.ref(argument)
    over = threading.Event()
    threads.submit(lambda _argument: None, argument)
    threads.submit(over.set)
    del argument
    assert over.wait(10)

    gc.disable()
    try:
        assert seen() is None
    finally:
        gc.enable()
