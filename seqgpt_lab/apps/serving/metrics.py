"""The server's counts and times for Prometheus, in a registry of their own; knows no text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
CLIENT_LEFT = 499
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """paths: those that are counted by name; any other is `other`, so that what is asked for does not become a label."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = frozenset(paths)
        self._registry = CollectorRegistry()
        self._answers = Counter("seqgpt_answers", "Answers sent", ["path", "status"], registry=self._registry)
        self._seconds = Histogram("seqgpt_answer_seconds", "Until the answer", ["path"], buckets=_SECONDS, registry=self._registry)
        self._prompts = Histogram(
            "seqgpt_prompt_seconds", "From a prompt's start to its completion", buckets=_SECONDS, registry=self._registry
        )
        self._together = Histogram("seqgpt_prompts_together", "Prompts at work when one completes", buckets=_SIZES, registry=self._registry)

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        """Report the queue's length, asked for when metrics are."""
        Gauge("seqgpt_waiting_prompts", "Prompts that wait for a row of the engine", registry=self._registry).set_function(waiting)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answer; status 0: the client left before there was one."""
        name = path if path in self._paths else "other"
        self._answers.labels(name, str(status or CLIENT_LEFT)).inc()
        self._seconds.labels(name).observe(seconds)

    def decoded(self, seconds: float, at_work: int) -> None:
        """Count a prompt that is complete, which was one of `at_work`."""
        self._prompts.observe(seconds)
        self._together.observe(at_work)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
