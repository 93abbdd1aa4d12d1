"""Ways of doing the same extractions, by name: this engine with a technique left out, transformers, CTranslate2. Measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.studies.peer_process import PeerProcess
from seqgpt_lab.studies.workloads import Task

TECHNIQUES: Mapping[str, str] = {
    "drafting": "guesses from the text are verified several a pass",
    "prefix": "what prompts share is computed once",
    "refill": "a row that ends makes room for the next request at once",
}
"""What can be left out, and what it is."""

PEERS: Mapping[str, str] = {"transformers": "auto", "ctranslate2": "int8"}
"""Other engines, and the number format each is best at: `auto` is what this engine uses."""

_REQUEST_WITHOUT: Mapping[str, Mapping[str, Any]] = {"drafting": {"drafts": None}, "prefix": {"shared_prefix": 0}}
MOST_TOKENS = 64  # of an answer, the same for everyone


@dataclass(frozen=True, slots=True)
class Contestant:
    """engine: `ours`, or a peer's name. without: techniques left out. grounded: values held to the text, by a constraint.

    cache: what the engine keeps of texts, for this contestant alone.
    """

    name: str
    engine: str = "ours"
    without: tuple[str, ...] = ()
    grounded: bool = False
    cache: str = "prefix"


def choose_contestants(against: Sequence[str] = (), *, ablation: bool = True, grounded: bool = True) -> list[Contestant]:
    """The peers, then this engine, grounded, and with each technique left out in turn, then with none at all.

    Raises OptionError for peers that do not exist.
    """
    unknown = [peer for peer in against if peer not in PEERS]
    if unknown:
        raise OptionError(f"there are no peers {unknown}; there are {list(PEERS)}")
    chosen = [Contestant(peer, peer) for peer in dict.fromkeys(against)]
    chosen.append(Contestant("ours"))
    if grounded:
        chosen.append(Contestant("ours, grounded", grounded=True))
    if ablation:
        chosen += [Contestant(f"ours without {technique}", without=(technique,)) for technique in TECHNIQUES]
        chosen.append(Contestant("ours, embedding cache", cache="embedding"))
        chosen.append(Contestant("ours, plain", without=tuple(TECHNIQUES)))
    return chosen


class Running:
    """A contestant that is loaded: tasks in, completions out."""

    def __init__(self, contestant: Contestant, engine: Any) -> None:
        self.contestant, self.engine = contestant, engine
        self._extractor = Extractor(
            engine, max_length=1 << 20, window_length=1 << 20, max_new_tokens=MOST_TOKENS, grounded=contestant.grounded
        )

    def run(self, tasks: Sequence[Task], batch: int) -> list[Completion]:
        """Answers in the tasks' order, at most `batch` prompts decoded together; tokenisation and the making of drafts are part of it."""
        requests = self.requests(tasks)
        self.engine.batch_size = batch
        if "refill" not in self.contestant.without:
            return self.engine.generate(requests)  # type: ignore[no-any-return]
        return [one for start in range(0, len(requests), batch) for one in self.engine.generate(requests[start : start + batch])]

    def requests(self, tasks: Sequence[Task]) -> list[Request]:
        """One a task, without what this contestant goes without."""
        without: dict[str, Any] = {}
        for technique in self.contestant.without:
            without |= _REQUEST_WITHOUT.get(technique, {})
        return [replace(request, **without) for task in tasks for request in self._extractor.prepare(task.document, task.labels).requests]


@contextmanager
def loaded(model: str | Path, contestants: Sequence[Contestant], dtype: str) -> Iterator[Callable[[], list[Running]]]:
    """All engines loaded, until the block ends, peers in processes of their own: what gives the contestants anew each time, none of which
    knows a text yet. Those of this engine share the weights and nothing that they keep of texts."""
    with ExitStack() as stack:
        names = dict.fromkeys(contestant.engine for contestant in contestants)
        engines = {name: _load(stack, model, name, dtype) for name in names}
        yield lambda: [_afresh(contestant, engines[contestant.engine]) for contestant in contestants]


def _afresh(contestant: Contestant, engine: Any) -> Running:
    return Running(contestant, engine.beside(cache=contestant.cache) if isinstance(engine, Engine) else engine)


def _load(stack: ExitStack, model: str | Path, engine: str, dtype: str) -> Any:
    if engine == "ours":
        return stack.enter_context(Engine.load(model, dtype=dtype))
    return stack.enter_context(closing(PeerProcess(engine, model, dtype if PEERS[engine] == "auto" else PEERS[engine])))
