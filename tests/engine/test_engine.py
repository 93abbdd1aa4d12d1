"""What callers of Engine see: options, order, progress, refusals, closing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqgpt_lab.engine.attention import ReferenceAttention
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import CapacityError, CheckpointError, OptionError, SeqGPTLabError
from tests.engine.oracles import Oracle, random_requests


@pytest.fixture(scope="module")
def engine(oracle: Oracle) -> Engine:
    return Engine.load(oracle.directory, dtype="fp32", device="cpu", batch_size=4, token_budget=60)


def test_results_come_in_input_order_however_they_were_batched(engine: Engine) -> None:
    requests = random_requests(11, most=3)
    alone = [engine.generate([request])[0] for request in requests]
    assert [completion.token_ids for completion in engine.generate(requests)] == [completion.token_ids for completion in alone]


def test_progress_counts_requests_up_to_all_of_them(engine: Engine) -> None:
    calls: list[tuple[int, int]] = []
    engine.generate([Request((5, 6), 1)] * 9, lambda done, total: calls.append((done, total)))
    assert calls == [(4, 9), (8, 9), (9, 9)]


def test_nothing_to_do_gives_nothing(engine: Engine) -> None:
    assert engine.generate([]) == []


@pytest.mark.parametrize(
    ("request_", "message"),
    (
        (Request(()), "request 1 has an empty prompt"),
        (Request((5,), 0), "request 1 asks for 0 new tokens; at least 1"),
        (Request((5, 1000)), r"request 1 holds token id 1000, outside the vocabulary \[0, 1000\)"),
        (Request((-1, 5)), "request 1 holds token id -1"),
        (Request([5, 6], 1), r"request 1 has a list as prompt_ids; a tuple of token ids is needed"),  # type: ignore[arg-type]
        (Request("56", 1), "request 1 has a str as prompt_ids"),  # type: ignore[arg-type]
        (Request((5, 6.5), 1), "request 1 holds token ids of type float; whole numbers"),  # type: ignore[arg-type]
        (Request((5, 6), 2.5), "request 1 has 2.5 as max_new_tokens; a whole number"),  # type: ignore[arg-type]
        (Request((5, 6), 1, shared_prefix=1.0), "request 1 has 1.0 as shared_prefix"),  # type: ignore[arg-type]
        (Request((5, 6), 1, shared_prefix=-1), "request 1 shares -1 of 2 prompt ids; 0 to all are possible"),
    ),
)
def test_a_request_that_cannot_be_answered_is_named(engine: Engine, request_: Request, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        engine.generate([Request((5,), 1), request_])


@pytest.mark.filterwarnings("ignore:a batch of 2 prompts")
@pytest.mark.parametrize("limit", (10**9, 10**18))
def test_a_limit_that_no_memory_holds_is_told_in_words(engine: Engine, limit: int) -> None:
    with pytest.raises(CapacityError, match=rf"prompt of 2 tokens and room for {limit} new ones does not fit.*lower max_new_tokens"):
        engine.generate([Request((5,) * 9, 1), Request((5, 6), limit)])
    assert engine.generate([Request((5,), 1)])


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("ncclUnhandledCudaError: Call to CUDA function failed.\nLast error:\nCuda failure 2 'out of memory'"),
    RuntimeError("ncclUnhandledCudaError: Call to CUDA function failed.\nLast error:\nCuda failure 'out of memory'"),
    torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=("torch", "Python", "CPU", "cuBLAS", "NCCL", "older NCCL", "CUDA"))
def test_weights_that_do_not_fit_are_told_in_words(oracle: Oracle, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def load_model(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("seqgpt_lab.engine.engine.load_model", load_model)
    with pytest.raises(CapacityError, match=r"the weights \(\d\.\d GB in their files\) do not fit into the memory of cpu in float32: "):
        Engine.load(oracle.directory, dtype="fp32", device="cpu")


def test_other_errors_of_loading_are_not_taken_for_a_lack_of_memory(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_model(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr("seqgpt_lab.engine.engine.load_model", load_model)
    with pytest.raises(RuntimeError, match="device-side assert"):
        Engine.load(oracle.directory, dtype="fp32", device="cpu")


def test_an_engine_beside_another_has_its_token_budget(engine: Engine) -> None:
    """Of four rows a budget of 60 takes three with prompts of 20: the fourth waits."""
    calls: list[int] = []
    requests = [Request((5,) * 20, 1)] * 4
    for one in (engine, engine.beside()):
        one.generate(requests, lambda done, _total: calls.append(done))
    assert calls == [3, 4] * 2


def test_a_closed_engine_says_so_and_closes_twice(oracle: Oracle) -> None:
    with Engine.load(oracle.directory, dtype="bf16", device="cpu", attention="reference") as engine:
        assert (engine.dtype, engine.device) == (torch.bfloat16, torch.device("cpu"))
        assert isinstance(engine.model.attention, ReferenceAttention)
        assert len(engine.generate([Request((5, 6), 2)])[0].token_ids) == 2
    engine.close()
    with pytest.raises(SeqGPTLabError, match="this engine is closed"):
        engine.generate([Request((5,), 1)])


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"dtype": "int8"}, "unknown dtype 'int8'"),
        ({"device": "tpu"}, "device 'tpu'"),
        ({"attention": "eager"}, "unknown attention 'eager'"),
        ({"attention": "flash"}, "needs a CUDA device"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"token_budget": 0}, "token_budget 0"),
        ({"batch_size": "8"}, "batch_size is '8'; a whole number is needed"),
        ({"replicas": 1.5}, r"replicas is 1\.5"),
        ({"token_budget": True}, "token_budget is True; a whole number"),
    ),
)
def test_an_option_that_cannot_work_is_refused_before_any_file_is_read(options: dict[str, str | float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Engine.load("/nowhere", **({"device": "cpu"} | options))  # type: ignore[arg-type]


def test_a_model_of_another_architecture_is_refused(oracle: Oracle, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "vocab_size": 50257}', encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes((oracle.directory / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="type 'gpt2'; this engine runs 'bloom'"):
        Engine.load(tmp_path, device="cpu")
