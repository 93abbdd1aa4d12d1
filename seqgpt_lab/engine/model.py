"""BLOOM, written plainly: token ids in, hidden states and logits out. Knows its shard of the weights, no decoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from seqgpt_lab.engine.attention import Attention, Geometry, Prepared, SdpaAttention, alibi_slopes
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.linear import Linear, packable, packed_weight, product, product_with_rows, whole_rows
from seqgpt_lab.engine.parallel import Shard

IDS_AT_ONCE = {"cpu": 1 << 14, "cuda": 1 << 16}
"""Ids that are scored before their logits are looked at: on a CPU these then are still in its caches."""


class Attend(Protocol):
    """How the tokens of a pass see each other and the cache; layer by layer."""

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query, key, value: [B, T, H, D] of the new tokens -> [B, T, H, D]."""
        ...


class Layer(nn.Module):
    """One transformer layer on this rank's heads and MLP columns; two reductions over ranks."""

    def __init__(self, config: ModelConfig, shard: Shard) -> None:
        super().__init__()
        self.config, self.shard = config, shard
        hidden = config.hidden_size
        mine = len(shard.heads(config.heads)) * config.head_dim
        wide = len(shard.block(4 * hidden))
        self.input_layernorm = nn.LayerNorm(hidden, config.layer_norm_epsilon)
        self.query_key_value = Linear(hidden, 3 * mine)
        self.dense = Linear(mine, hidden)
        self.post_attention_layernorm = nn.LayerNorm(hidden, config.layer_norm_epsilon)
        self.dense_h_to_4h = Linear(hidden, wide)
        self.dense_4h_to_h = Linear(wide, hidden)

    def forward(self, hidden: Tensor, attend: Attend, index: int, asked: Tensor | None = None) -> Tensor:
        """hidden [B, T, C] -> [B, T, C], or of the tokens `asked` alone, which is enough where no layer comes after: [B, K, C] of those at
        the places [K] int64 of every row, [N, C] of the N that [B, T] bool marks."""
        normed = self.input_layernorm(hidden)
        residual = normed if self.config.residual_after_layer_norm else hidden
        mixed = self._attention(normed, attend, index)
        if asked is not None:
            residual, mixed = _of(asked, residual), _of(asked, mixed)
        hidden = residual + self._row_parallel(self.dense, mixed)
        normed = self.post_attention_layernorm(hidden)
        residual = normed if self.config.residual_after_layer_norm else hidden
        return residual + self._row_parallel(self.dense_4h_to_h, self.dense_h_to_4h.gelu(normed))

    def _attention(self, normed: Tensor, attend: Attend, index: int) -> Tensor:
        batch, count, _ = normed.shape
        fused = self.query_key_value(normed).view(batch, count, -1, 3, self.config.head_dim)  # [B, T, H, 3, D]
        query, key, value = fused.unbind(dim=3)  # [B, T, H, D] each
        return attend(index, query, key, value).reshape(batch, count, -1)  # [B, T, H * D]

    def _row_parallel(self, linear: Linear, part: Tensor) -> Tensor:
        """This rank's columns of a linear, summed over ranks; the bias is added once, after the sum."""
        if self.shard.world_size == 1:
            return linear(part)  # type: ignore[no-any-return]
        return self.shard.sum(linear.without_bias(part)) + linear.bias


class AttentionPass:
    """What the layers of one pass share: the cache (or none), where the tokens sit, and the prepared bias."""

    def __init__(self, attention: Attention, cache: KVCache | None, geometry: Geometry, prepared: Prepared) -> None:
        self.attention, self.cache, self.geometry, self.prepared = attention, cache, geometry, prepared

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if self.cache is not None:
            key, value = self.cache.update(layer, key, value, self.geometry)
        return self.attention.attend(query, key, value, self.prepared)


class Bloom(nn.Module):
    """A BLOOM language model, or one rank's shard of it.

    The vocabulary is sharded too: rank r embeds and scores only its block of ids.
    """

    slopes: Tensor

    def __init__(self, config: ModelConfig, shard: Shard | None = None, attention: Attention | None = None) -> None:
        super().__init__()
        self.config, self.shard = config, shard or Shard()
        self.attention: Attention = attention or SdpaAttention()
        self.vocabulary = self.shard.block(config.vocab_size)
        self.word_embeddings = _embedding(len(self.vocabulary), config.hidden_size)
        self.word_embeddings_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_epsilon)
        self.h = nn.ModuleList(Layer(config, self.shard) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.hidden_size, config.layer_norm_epsilon)
        self.lm_head = None if config.tied_head else nn.Linear(config.hidden_size, len(self.vocabulary), bias=False)
        self.packed_head: tuple[Tensor, ...] = ()  # the rows of IDS_AT_ONCE ids each
        heads = self.shard.heads(config.heads)
        self.register_buffer("slopes", alibi_slopes(config.heads)[heads.start : heads.stop], persistent=False)

    def forward(self, token_ids: Tensor, geometry: Geometry, cache: KVCache | None = None, asked: Tensor | None = None) -> Tensor:
        """token_ids [B, T] at the slots `geometry` names -> hidden states after the final LayerNorm [B, T, C], or as `Layer` of `asked`.

        Without a cache the tokens see only each other (geometry.slots = T, fresh): that is how training runs.
        """
        hidden = self.embed(token_ids)
        prepared = self.attention.prepare(geometry, self.slopes, hidden.dtype)
        return self.run(hidden, AttentionPass(self.attention, cache, geometry, prepared), asked)

    def embed(self, token_ids: Tensor) -> Tensor:
        """token_ids [B, T] -> what enters the first layer [B, T, C]: embedded and normalised, the same wherever a token stands."""
        return self.word_embeddings_layernorm(self._embed(token_ids))  # type: ignore[no-any-return]

    def run(self, hidden: Tensor, attend: Attend, asked: Tensor | None = None) -> Tensor:
        """Embedded tokens [B, T, C] through all layers and the final LayerNorm [B, T, C], or as `Layer` of `asked`."""
        for index, layer in enumerate(self.h):
            hidden = layer(hidden, attend, index, asked if index == len(self.h) - 1 else None)
        return self.ln_f(hidden)  # type: ignore[no-any-return]

    def pack(self) -> None:
        """Lay the weights out as this processor multiplies them, where that is of use (`linear.py`); then they only serve to run.

        Of the head a copy is laid out, for embedding and scoring some ids take single rows of it.
        """
        for module in self.h.modules():
            if isinstance(module, Linear):
                module.pack()
        if packable(self._head):
            self.packed_head = tuple(packed_weight(rows) for rows in self._head_blocks)

    def logits(self, hidden: Tensor, ids: Tensor | None = None) -> Tensor:
        """hidden [N, C] -> this rank's block of the logits [N, block(vocab_size)]; pass only the rows that are needed.

        ids: [K] of this rank's vocabulary, to score those alone: [N, K].
        """
        if ids is None:
            return torch.cat(list(self.logit_blocks(hidden)), dim=-1) if self.packed_head else product(hidden, self._head)
        return product_with_rows(hidden, self._head, ids - self.vocabulary.start, few_sizes=bool(self.packed_head))

    def logit_blocks(self, hidden: Tensor) -> Iterator[Tensor]:
        """What `logits` of all ids gives, as neighbouring columns [N, up to IDS_AT_ONCE] that are computed as they are asked for."""
        for rows in self.packed_head or self._head_blocks:
            yield product(hidden, rows)

    def spare(self, count: int) -> int:
        """How many tokens or states to compute besides `count` and let go, so that packed products meet few sizes (`linear.py`)."""
        return whole_rows(count) - count if self.packed_head else 0

    @property
    def _head(self) -> Tensor:
        """This rank's rows [block(vocab_size), C]."""
        return self.word_embeddings.weight if self.lm_head is None else self.lm_head.weight

    @property
    def _head_blocks(self) -> tuple[Tensor, ...]:
        """The same, up to IDS_AT_ONCE rows each; no copy."""
        return torch.split(self._head, IDS_AT_ONCE[self._head.device.type])

    def _embed(self, token_ids: Tensor) -> Tensor:
        if self.shard.world_size == 1:
            return self.word_embeddings(token_ids)  # type: ignore[no-any-return]
        local = token_ids - self.vocabulary.start
        elsewhere = (local < 0) | (local >= len(self.vocabulary))
        embedded = self.word_embeddings(local.masked_fill(elsewhere, 0)).masked_fill(elsewhere[..., None], 0)
        return self.shard.sum(embedded)


def _of(asked: Tensor, hidden: Tensor) -> Tensor:
    return hidden[asked] if asked.dtype == torch.bool else hidden.index_select(1, asked)


def _embedding(rows: int, width: int) -> nn.Embedding:
    """nn.Embedding, which would also draw random numbers on the meta device, where torch imports for 1.6 s to do so."""
    weight = torch.empty(rows, width)
    if not weight.is_meta:
        nn.init.normal_(weight)
    return nn.Embedding(rows, width, _weight=weight)


def fresh_geometry(token_ids: Tensor) -> Geometry:
    """Geometry of tokens [B, T] that start at slot 0 and see only each other."""
    batch, count = token_ids.shape
    return Geometry(torch.zeros(batch, dtype=torch.int64, device=token_ids.device), count, count, fresh=True)
