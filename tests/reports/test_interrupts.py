"""Signals that ask a process to end interrupt its work, and leave alone what that begins."""

from __future__ import annotations

import signal

import pytest

from seqgpt_lab.reports.interrupts import signals_interrupt

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
