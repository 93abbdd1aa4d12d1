"""Signals that ask a process to end interrupt its work, and leave alone what that begins."""

from __future__ import annotations

import signal

import pytest

from seqgpt_lab.reports.interrupts import interrupts_wait, signals_interrupt

CLOCK = "seqgpt_lab.reports.interrupts.monotonic"


@pytest.mark.parametrize("again", (signal.SIGHUP, signal.SIGTERM), ids=lambda number: number.name)
def test_a_signal_that_is_told_twice_does_not_interrupt_the_tidying_up(monkeypatch: pytest.MonkeyPatch, again: signal.Signals) -> None:
    """A terminal that closes sends SIGHUP by its shell, then by the kernel."""
    monkeypatch.setattr(CLOCK, lambda: 5.0)
    tidied = False
    with pytest.raises(KeyboardInterrupt, match="SIGHUP"), signals_interrupt():
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(again)
            tidied = True
    assert tidied


def test_a_later_signal_interrupts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what goes on or hangs all the same can be ended."""
    now = iter((5.0, 5.0, 5.9, 6.1, 6.1))
    monkeypatch.setattr(CLOCK, lambda: next(now))
    heard = []
    with signals_interrupt():
        for _ in range(3):
            try:
                signal.raise_signal(signal.SIGTERM)
                heard.append("nothing")
            except KeyboardInterrupt as interrupt:
                heard.append(str(interrupt))
    assert heard == ["SIGTERM", "nothing", "SIGTERM"]


def test_what_must_not_be_cut_short_comes_to_its_end_and_one_interrupt_after_it() -> None:
    done = []
    with signals_interrupt():
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"), interrupts_wait():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(number)
                done.append(number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert len(done) == 3
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_came_and_what_comes_interrupts_where_it_is_let_in_and_nowhere_else() -> None:
    heard = []
    with interrupts_wait() as interrupts:
        for number in (signal.SIGINT, signal.SIGINT):
            signal.raise_signal(number)
        for comes in (False, True, False):
            try:
                with interrupts.let_in():
                    if comes:
                        signal.raise_signal(signal.SIGINT)
                    heard.append("nothing")
            except KeyboardInterrupt:
                signal.raise_signal(signal.SIGINT) if comes else None
                heard.append("interrupt")
        assert heard == ["interrupt", "interrupt", "interrupt"]
        with interrupts.let_in():
            heard.append("nothing")
    assert heard[3:] == ["nothing"]


def test_a_signal_that_is_ignored_interrupts_nothing() -> None:
    """As SIGHUP is under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt(), interrupts_wait() as interrupts, interrupts.let_in():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
