"""The engine: a model loaded once, batches of token ids completed greedily, in input order. Knows no text, labels or prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType

import torch

from seqgpt_lab.engine.attention import choose_attention
from seqgpt_lab.engine.batching import plan_parts
from seqgpt_lab.engine.checkpoint import Checkpoint, find_checkpoint
from seqgpt_lab.engine.config import ModelConfig, check_whole, resolve_device, resolve_dtype
from seqgpt_lab.engine.cuda import prepare_cuda
from seqgpt_lab.engine.decode import TOKEN_BUDGET, Decoder, Finish, More, Numbered
from seqgpt_lab.engine.memory import keep_freed_memory, weights_within_memory
from seqgpt_lab.engine.messages import ModelSpec
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.placement import check_counts, check_world_size, place, threads_each
from seqgpt_lab.engine.replica import Job
from seqgpt_lab.engine.requests import Completion, Request, check_request
from seqgpt_lab.engine.reuse import CACHE_BYTES, CacheInfo, ReuseCache, check_level, joined
from seqgpt_lab.engine.runner import LocalRunner, Runner
from seqgpt_lab.engine.turn import Turn
from seqgpt_lab.engine.weights import load_model
from seqgpt_lab.engine.worker import WorkerInfo
from seqgpt_lab.engine.workers import WorkerPool
from seqgpt_lab.errors import EngineClosedError, OptionError, SeqGPTLabError
from seqgpt_lab.progress import Progress

_LEAVING_SECONDS = 10.0  # longer than most calls are at one step of their own
_BATCHES_A_JOB = 4  # rows are refilled within a job, and the end of a job leaves some of them idle


class Engine:
    """A loaded model. Use `Engine.load`; a context manager, so that the weights and workers go when the block ends.

    Any thread may call it; one call is at work at a time, and the others wait for it.
    """

    def __init__(self, runner: Runner, checkpoint: Checkpoint, config: ModelConfig, batch_size: int, kind: torch.dtype) -> None:
        self._runner, self.checkpoint, self.config, self.batch_size, self._dtype = runner, checkpoint, config, batch_size, kind
        self._turn = Turn()

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        dtype: str = "auto",
        device: str = "auto",
        attention: str = "auto",
        batch_size: int = 32,
        token_budget: int = TOKEN_BUDGET,
        tensor_parallel: int = 1,
        replicas: int = 1,
        cache: str = "prefix",
        cache_bytes: int = CACHE_BYTES,
    ) -> Engine:
        """Load `tiny`, a model directory, the article's package or a hub id.

        dtype: auto, fp16, bf16, fp32. device: auto, cpu, cuda, cuda:N. attention: auto, sdpa, flash, reference.
        batch_size: most prompts decoded together. token_budget: most prompt tokens of a batch, each counted as long as the longest.
        tensor_parallel: processes that share one copy of the weights. replicas: copies, each taking batches of its own. With more than
        one process in all, the weights live in workers, a card or a share of the processor cores each; `close` ends them.
        cache: what is kept of texts (`Request.shared_prefix`) for requests that ask them again: none, embedding (the vectors that enter the
        first layer) or prefix (keys and values: nothing of the text is computed twice). cache_bytes: of each process, oldest go first.
        Raises CheckpointError for a model that cannot be used, OptionError for an option that does not exist or cannot work here,
        CapacityError for weights that do not fit into memory, WorkerError when a worker does not start.
        """
        where = resolve_device(device)
        kind = resolve_dtype(dtype, where)
        check_whole({"batch_size": batch_size, "token_budget": token_budget, "cache_bytes": cache_bytes})
        if batch_size < 1 or token_budget < 1:
            raise OptionError(f"batch_size {batch_size} and token_budget {token_budget} must both be at least 1")
        check_counts(tensor_parallel, replicas)
        check_level(cache, cache_bytes)
        chosen = choose_attention(attention, where, kind)
        devices = place(tensor_parallel, replicas, where) if tensor_parallel * replicas > 1 else []
        checkpoint = find_checkpoint(source)
        config = ModelConfig.read(checkpoint.config)
        check_world_size(tensor_parallel, config)
        runner: Runner
        if devices:
            spec = ModelSpec(
                checkpoint.config.resolve(),
                tuple(path.resolve() for path in checkpoint.weights),
                dtype,
                attention,
                threads=threads_each(tensor_parallel * replicas),
                rows=batch_size,
                token_budget=token_budget,
                cache=cache,
                cache_bytes=cache_bytes,
            )
            runner = WorkerPool(spec, devices)
        else:
            prepare_cuda(where)
            with weights_within_memory(sum(path.stat().st_size for path in checkpoint.weights), kind, where):
                model = load_model(config, checkpoint.weights, shard=Shard(), dtype=kind, device=where, attention=chosen)
                model.pack()
            keep_freed_memory()
            reuse = ReuseCache(cache, cache_bytes)
            runner = LocalRunner(Decoder(model, rows=batch_size, token_budget=token_budget, reuse=reuse))
        return cls(runner, checkpoint, config, batch_size, kind)

    @property
    def model(self) -> Bloom:
        """The running model. Raises SeqGPTLabError after `close`, and where the weights live in workers."""
        return self._decoder.model

    @property
    def _decoder(self) -> Decoder:
        if not isinstance(self._runner, LocalRunner):
            raise SeqGPTLabError("this engine's weights live in worker processes; load it with tensor_parallel=1, replicas=1 to reach them")
        if self._runner.decoder is None:
            raise EngineClosedError
        return self._runner.decoder

    def beside(self, *, cache: str = "prefix") -> Engine:
        """Another engine on the same weights, which keeps what it keeps of texts for itself. cache: as in `load`.

        Raises SeqGPTLabError as `model` does, OptionError for a cache that does not exist.
        """
        own, reuse = self._decoder, ReuseCache(cache, CACHE_BYTES)
        decoder = Decoder(own.model, rows=self.batch_size, token_budget=own.token_budget, reuse=reuse)
        return Engine(LocalRunner(decoder), self.checkpoint, self.config, self.batch_size, self._dtype)

    @property
    def workers(self) -> tuple[WorkerInfo, ...]:
        """The worker processes, by replica and rank; empty when the model runs in this process."""
        return self._runner.info if isinstance(self._runner, WorkerPool) else ()

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @property
    def device(self) -> torch.device:
        """Where the model is; the kind of device only (`cpu`, `cuda`) when it is in workers."""
        if isinstance(self._runner, WorkerPool):
            return torch.device(self._runner.device_type)
        return self.model.slopes.device

    def generate(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]:
        """Complete every request greedily; results in input order, the same for any batch_size up to rounding.

        progress: called whenever some requests are done. A batch that does not fit into memory is halved, with an EngineWarning.

        Raises OptionError for an empty prompt, a limit below 1, an id outside the vocabulary, or what workers cannot be sent; CapacityError
        for a request too large for memory by itself; LogitsError where the model's logits are not numbers; WorkerError when a worker dies,
        raises or hangs: the next call starts it again; SeqGPTLabError when `progress` itself asks this engine.
        """
        for index, request in enumerate(requests):
            check_request(index, request, self.config.vocab_size)
        found: dict[int, Completion] = {}

        def finish(indices: Sequence[int], completions: Sequence[Completion]) -> None:
            found.update(zip(indices, completions, strict=True))
            if progress:
                progress(len(found), len(requests))

        self._turn.take(partial(self._runner.run, self._jobs(requests), finish))
        return [found[index] for index in range(len(requests))]

    def serve(self, more: More, finish: Finish) -> None:
        """Complete what comes while other requests are at work, for whoever has a queue; until `more` gives nothing and all are complete.

        more: called between passes with how many requests may come; gives them with numbers of the caller's, at once, as none if none
        wait: call `wake` when some do. finish: called with numbers and completions as they come. Neither may call this engine. Other
        calls wait until this one ends. Raises as `generate` does; then requests that were not told by `finish` are not complete.
        """

        def checked(places: int) -> Sequence[Numbered]:
            found = more(places)
            for number, request in found:
                check_request(number, request, self.config.vocab_size)
            return found

        self._turn.take(partial(self._runner.serve, checked, self.batch_size, finish))

    def wake(self) -> None:
        """Have a call of `serve` ask for more at once, where there is room. From any thread, harmless at any time."""
        self._runner.wake()

    def stream(self, requests: Iterable[Request], window: int = 512) -> Iterator[Completion]:
        """Complete any number of requests in memory that does not grow with it; completions in input order.

        window: how many requests are read ahead and decoded, by length, before the first of them is given out. Raises as `generate`.
        """
        if window < 1:
            raise OptionError(f"window {window} must be at least 1")
        source = iter(requests)
        while some := list(islice(source, window)):
            yield from self.generate(some)

    @property
    def cache_info(self) -> CacheInfo:
        """What is kept of texts and how often it was of use; added up over replicas."""
        return joined(self._runner.caches)

    def _jobs(self, requests: Sequence[Request]) -> list[Job]:
        """All of them for a model in this process; parts for workers, so that whichever is free takes the next."""
        replicas, most = 1, len(requests)
        if isinstance(self._runner, WorkerPool):
            replicas, most = self._runner.replicas, _BATCHES_A_JOB * self.batch_size
        parts = plan_parts(requests, replicas=replicas, most=most)
        return [Job(tuple(part), tuple(requests[index] for index in part), self.batch_size) for part in parts]

    def close(self) -> None:
        """Let go of the weights and end the workers; harmless when called again, and from any thread.

        A call that is at work in another thread ends with EngineClosedError, and is waited for, but no longer than 10 seconds: it may
        be held up by what it called itself, or compute so long; then it is told when it has come to its next pass.
        """
        self._runner.leave()
        self._turn.end(self._runner.close, _LEAVING_SECONDS)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
