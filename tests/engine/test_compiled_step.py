"""The decode step is one graph without breaks, as CUDA graphs need, and the captured graph computes what eager code computes."""

from __future__ import annotations

import torch
from torch import Tensor

from seqgpt_lab.engine.attention import Geometry, SdpaAttention
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.packing import PackedPass, Packing, Span, pack

CONFIG = ModelConfig(vocab_size=1003, hidden_size=256, layers=2, heads=4)
ROWS, SLOTS = 3, 24


def test_a_step_with_guesses_compiles_to_one_graph_with_the_same_result() -> None:
    """Rows with 3, 1 and 2 new tokens side by side, twice, the second time further on."""
    torch.manual_seed(0)
    model = Bloom(CONFIG, attention=SdpaAttention()).requires_grad_(False)
    counts = [3, 1, 2]

    def step(tokens: Tensor, slots: Tensor, starts: Tensor, places: Tensor, cache: KVCache) -> tuple[Tensor, Tensor]:
        """As Decoder._step, over all slots: what changes from pass to pass is in tensors."""
        span = Span(0, ROWS, sum(counts), Geometry(starts, max(counts), SLOTS), places, None)
        attend = PackedPass(model.attention, cache, Packing(slots, (span,)), model.slopes, torch.float32)
        hidden = model.run(model.embed(tokens), attend).squeeze(0)
        return model.shard.argmax([model.logits(hidden)], CONFIG.vocab_size)

    torch._dynamo.reset()
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    compiled = torch.compile(step, fullgraph=True, dynamic=False, backend=keep)
    caches = [
        KVCache(CONFIG.layers, ROWS, SLOTS, CONFIG.heads, CONFIG.head_dim, dtype=torch.float32, device=torch.device("cpu"))
        for _ in range(2)
    ]
    with torch.no_grad():
        for starts in ([0, 0, 0], [3, 1, 2]):
            packing = pack(starts, counts, SLOTS, torch.device("cpu"))
            tokens = torch.tensor([[11, 12, 13, 21, 31, 32]]) + max(starts)
            found = [
                run(tokens, packing.slots, packing.spans[0].geometry.starts, packing.spans[0].places, cache)
                for run, cache in zip((step, compiled), caches, strict=True)
            ]
            assert torch.equal(found[0][0], found[1][0])
            torch.testing.assert_close(found[0][1], found[1][1])
    assert len(graphs) == 1
    torch.testing.assert_close(caches[0].keys, caches[1].keys)


def test_the_decode_step_compiles_to_one_graph_with_the_same_result() -> None:
    torch.manual_seed(0)
    model = Bloom(CONFIG, attention=SdpaAttention()).requires_grad_(False)

    def cache_after_prompt() -> KVCache:
        cache = KVCache(CONFIG.layers, ROWS, SLOTS, CONFIG.heads, CONFIG.head_dim, dtype=torch.float32, device=torch.device("cpu"))
        ids = torch.arange(ROWS * 9).view(ROWS, 9) % CONFIG.vocab_size
        model(ids, Geometry(torch.zeros(ROWS, dtype=torch.int64), 9, 9, fresh=True), cache)
        return cache

    def step(tokens: Tensor, starts: Tensor, cache: KVCache) -> tuple[Tensor, Tensor]:
        """As Batch.step, over all slots: shapes are then the same at every token."""
        hidden = model(tokens, Geometry(starts, 1, SLOTS), cache)
        return model.shard.argmax([model.logits(hidden[:, 0])], CONFIG.vocab_size)

    torch._dynamo.reset()
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    compiled = torch.compile(step, fullgraph=True, dynamic=False, backend=keep)
    eager_cache, graph_cache = cache_after_prompt(), cache_after_prompt()
    starts = torch.tensor([9, 5, 7])
    eager = graph = torch.tensor([1, 2, 3])
    with torch.no_grad():
        for offset in range(6):
            eager, certain = step(eager.unsqueeze(1), starts + offset, eager_cache)
            graph, sure = compiled(graph.unsqueeze(1), starts + offset, graph_cache)
            assert torch.equal(eager, graph)
            torch.testing.assert_close(certain, sure)
    assert len(graphs) == 1  # not compiled anew at each token
    torch.testing.assert_close(eager_cache.keys, graph_cache.keys)
