"""The decode step is one graph without breaks, as CUDA graphs need, and the captured graph computes what eager code computes."""

from __future__ import annotations

import torch
from torch import Tensor

from seqgpt_lab.engine.attention import Geometry, SdpaAttention
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom

CONFIG = ModelConfig(vocab_size=1003, hidden_size=256, layers=2, heads=4)
ROWS, SLOTS = 3, 24


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
        return model.shard.argmax(model.logits(hidden[:, 0]), CONFIG.vocab_size)

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
