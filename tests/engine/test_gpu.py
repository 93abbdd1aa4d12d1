"""For the first machine with GPUs (`make test-gpu`): the same tokens as the CPU in fp32, on one card and on two, half dtypes close, memory
a card, what does not fit, faults noticed, flash-attn like SDPA."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from seqgpt_lab.documents.formats import load_documents
from seqgpt_lab.embedded.widen import widen
from seqgpt_lab.engine.attention import Attention, FlashAttention, Geometry, ReferenceAttention, SdpaAttention, alibi_slopes
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import EngineWarning, WorkerError
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.resources import bundled
from tests.checkpoints import write_random_checkpoint
from tests.engine.among import Among
from tests.engine.oracles import random_requests
from tests.faults.strikes import ALLOWED_SECONDS, VOCABULARY, answers, answers_after_restart, last, seconds_to_fail

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
two_cards = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
flash = pytest.mark.skipif(not find_spec("flash_attn"), reason="needs flash-attn>=2.5.8")
KINDS = sorted(path.stem for path in Path(bundled("labels")).glob("*.yaml"))


def _values(
    dtype: str, device: str, kind: str, *, attention: str = "auto", ranks: int = 1, replicas: int = 1
) -> list[dict[str, str | list[str] | None]]:
    documents = load_documents(bundled("documents", f"{kind}.dev.jsonl"))
    with Engine.load("tiny", dtype=dtype, device=device, attention=attention, tensor_parallel=ranks, replicas=replicas) as engine:
        results = Extractor(engine).extract(documents, LabelSet.load(bundled("labels", f"{kind}.yaml")))
    return [result.to_dict() for result in results]


@pytest.mark.parametrize("kind", KINDS)
def test_fp32_values_equal_the_cpus(kind: str) -> None:
    assert _values("fp32", "cuda", kind) == _values("fp32", "cpu", kind)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_half_precision_values_agree_with_the_cpus(dtype: str) -> None:
    half, whole = _values(dtype, "cuda", "resume"), _values("fp32", "cpu", "resume")
    same = sum(one == other for one, other in zip(half, whole, strict=True))
    assert same >= 0.95 * len(whole)


def test_memory_of_the_weights_is_what_they_weigh() -> None:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with Engine.load("tiny", dtype="fp16", device="cuda") as engine:
        weight = sum(parameter.nbytes for parameter in engine.model.parameters())
        assert torch.cuda.max_memory_allocated() - before <= 1.15 * weight + (1 << 20)


def test_a_closed_engine_leaves_the_card_to_others(tmp_path: Path) -> None:
    wide = widen("tiny", tmp_path / "wide")
    with Engine.load(wide, dtype="fp16", device="cuda") as engine:
        engine.generate(random_requests(1, vocabulary=1000, longest=8, most=2))
        held = _used(torch.cuda.current_device())
    assert held - _used(torch.cuda.current_device()) > 0.9 * (wide / "model.safetensors").stat().st_size


def test_a_batch_that_does_not_fit_a_card_is_split_and_answered(tmp_path: Path) -> None:
    """A cache for 16 rows takes 246 MB, keys and values a half each, of which this process may have 100; one for 4 rows fits."""
    checkpoint = write_random_checkpoint(tmp_path, heads=12, hidden=48, vocabulary=VOCABULARY)
    requests = [Request((5, 6, 7 + row), 20_000, constraint=Among((2,))) for row in range(16)]
    with Engine.load(checkpoint, dtype="fp32", device="cuda", batch_size=16) as engine:
        engine.generate(requests[:1])  # what cuBLAS takes for itself
        torch.cuda.empty_cache()
        card = torch.cuda.current_device()
        most = torch.cuda.memory_reserved(card) + (100 << 20)
        torch.cuda.set_per_process_memory_fraction(most / torch.cuda.get_device_properties(card).total_memory, card)
        try:
            with pytest.warns(EngineWarning, match=f"ran out of memory on cuda:{card} and was decoded as 8"):
                found = engine.generate(requests)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, card)
    assert [one.finish_reason for one in found] == ["stop"] * 16


@two_cards
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("ranks", "replicas"), ((2, 1), (1, 2)), ids=("ranks", "replicas"))
def test_two_cards_write_the_cpus_fp32_values(kind: str, ranks: int, replicas: int) -> None:
    assert _values("fp32", "cuda", kind, ranks=ranks, replicas=replicas) == _values("fp32", "cpu", kind)


@two_cards
def test_two_cards_write_the_tokens_of_one_on_odd_shapes(tmp_path: Path) -> None:
    """12 heads (interleaved slopes), a vocabulary that two does not divide; tokens and their probabilities."""
    checkpoint = write_random_checkpoint(tmp_path, heads=12, hidden=192, vocabulary=VOCABULARY)
    requests = random_requests(13, vocabulary=VOCABULARY)
    with Engine.load(checkpoint, dtype="fp32", device="cuda:0", batch_size=4) as alone:
        wanted = alone.generate(requests)
    with Engine.load(checkpoint, dtype="fp32", device="cuda", batch_size=4, tensor_parallel=2) as engine:
        assert [worker.device for worker in engine.workers] == ["cuda:0", "cuda:1"]
        found = engine.generate(requests)
    assert [one.token_ids for one in found] == [one.token_ids for one in wanted]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.token_probabilities == pytest.approx(theirs.token_probabilities, abs=1e-4)


def _used(card: int) -> int:
    free, total = torch.cuda.mem_get_info(card)
    return total - free


@contextmanager
def _loaded(model: str | Path, ranks: int) -> Iterator[list[int]]:
    """Bytes in use on each of the first cards while the model is loaded and has answered once."""
    with Engine.load(model, dtype="fp16", device="cuda", tensor_parallel=ranks) as engine:
        engine.generate(random_requests(1, vocabulary=1000, longest=8, most=2))
        yield [_used(card) for card in range(ranks)]


@two_cards
def test_each_of_two_cards_holds_about_half_of_a_model_of_real_size(tmp_path: Path) -> None:
    """What CUDA, cuBLAS and NCCL take for themselves is what two ranks of the embedded model take, whose weights are 9 MB."""
    wide = widen("tiny", tmp_path / "wide")
    whole = (wide / "model.safetensors").stat().st_size
    for card in (0, 1):
        torch.cuda.mem_get_info(card)  # this process's own context comes first
    with _loaded("tiny", 2) as without:
        pass
    with _loaded(wide, 2) as held:
        for card in (0, 1):
            assert 0.45 * whole < held[card] - without[card] <= 0.55 * whole + (64 << 20)


@two_cards
@pytest.mark.parametrize("blow", (signal.SIGKILL, signal.SIGSTOP), ids=lambda blow: blow.name)
def test_a_rank_on_a_card_that_dies_or_hangs_is_named_in_time_and_replaced(tmp_path: Path, blow: signal.Signals) -> None:
    """The other rank waits inside an NCCL kernel, which no signal but SIGKILL ends."""
    checkpoint = write_random_checkpoint(tmp_path, heads=12, hidden=48, vocabulary=VOCABULARY)
    with Engine.load(checkpoint, dtype="fp32", device="cuda", batch_size=1, tensor_parallel=2) as engine:
        wanted = answers(engine)
        pid = last(engine)
        assert seconds_to_fail(engine, lambda: os.kill(pid, blow), WorkerError, rf"\(process {pid}, cuda:1\)") < ALLOWED_SECONDS
        assert answers_after_restart(engine) == wanted


def test_a_batch_called_off_on_a_card_leaves_the_engine_usable(tmp_path: Path) -> None:
    checkpoint = write_random_checkpoint(tmp_path, heads=12, hidden=48, vocabulary=VOCABULARY)
    ranks = 2 if torch.cuda.device_count() > 1 else 1
    with Engine.load(checkpoint, dtype="fp32", device="cuda", batch_size=1, tensor_parallel=ranks) as engine:
        wanted = answers(engine)
        seconds_to_fail(engine, lambda: os.kill(os.getpid(), signal.SIGINT), KeyboardInterrupt, None)
        assert answers(engine) == wanted


def _attend(attention: Attention, geometry: Geometry, slots: int) -> torch.Tensor:
    """12 heads of 64 in fp16, the same numbers for every attention."""
    generator = torch.Generator("cuda").manual_seed(0)
    rows = len(geometry.starts)
    query = torch.randn(rows, geometry.new_tokens, 12, 64, dtype=torch.float16, device="cuda", generator=generator)
    keys, values = torch.randn(2, rows, slots, 12, 64, dtype=torch.float16, device="cuda", generator=generator)
    prepared = attention.prepare(geometry, alibi_slopes(12).cuda(), torch.float16)
    return attention.attend(query, keys, values, prepared).float()


@flash
@pytest.mark.parametrize("other", (ReferenceAttention, SdpaAttention))
@pytest.mark.parametrize("new_tokens", (1, 9))
def test_flash_attention_on_a_cache_of_uneven_rows_is_like_the_others(new_tokens: int, other: type[Attention]) -> None:
    geometry = Geometry(torch.tensor([3, 40, 17], device="cuda"), new_tokens, 40 + new_tokens)
    found, wanted = (_attend(attention, geometry, 40 + new_tokens) for attention in (FlashAttention(), other()))
    assert torch.allclose(found, wanted, atol=2e-3)


@flash
@pytest.mark.parametrize("other", (ReferenceAttention, SdpaAttention))
def test_flash_attention_on_fresh_prompts_is_like_the_others(other: type[Attention]) -> None:
    geometry = Geometry(torch.zeros(2, dtype=torch.int64, device="cuda"), 33, 33, fresh=True)
    found, wanted = (_attend(attention, geometry, 33) for attention in (FlashAttention(), other()))
    assert torch.allclose(found, wanted, atol=2e-3)


@flash
@pytest.mark.parametrize("kind", ("resume", "purchase_contract"))
def test_values_with_flash_attention_agree_with_sdpas(kind: str) -> None:
    found, wanted = (_values("fp16", "cuda", kind, attention=name) for name in ("flash", "sdpa"))
    assert sum(one == other for one, other in zip(found, wanted, strict=True)) >= 0.95 * len(wanted)
