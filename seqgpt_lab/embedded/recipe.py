"""The settings that decide the embedded model's weights, and their schedules; computes nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the trained weights. tokens: most a step, padding included; questions: asked of each text.

    Copying forms in the first `drill_pools` steps, which are short random drills: the same tokens spent on documents do not form it.
    flat: share of the steps at the full rate, before it falls to zero.
    real_share: of the documents, drawn from annotated real texts where there are any.
    excerpt_share: of the synthetic documents, shown in part or not at all among sentences that hold nothing.
    guide_weight: of the losses that say where to look, beside the answer's own; guide_head: the last layer's head that is
    told, by default its last one, which ALiBi binds least to what is near.
    kept_share: of the weights that training began from, averaged into those it ended with.
    """

    # Of GPU memory for the large batches: by arithmetic some 13 KB a token and layer for the backward pass, doubled. Not measured.
    large_batches_bytes: ClassVar[int] = 2 * 65_536 * 8 * 13_000

    steps: int = 2600
    pool_rows: int = 128
    questions: int = 3
    tokens: int = 5000
    hidden_size: int = 256
    layers: int = 8
    muon_rate: float = 0.02
    adam_rate: float = 2e-3
    warmup: int = 30
    flat: float = 0.4
    drill_pools: int = 200
    drill_rows: int = 48
    drill_after: float = 0.05
    real_share: float = 0.3
    excerpt_share: float = 0.12
    guide_weight: float = 0.3
    guide_head: int = -1
    kept_share: float = 0.0
    seed: int = 1

    def rate(self, step: int) -> float:
        """Share of the full learning rate: linear warm-up, flat for that share of the steps, then linear to zero."""
        left = 1 - step / self.steps
        return min(1.0, (step + 1) / self.warmup, left / (1 - self.flat))

    def from_trained(self) -> Recipe:
        """The recipe that goes on from trained weights: no drills first, batches of at least 10,000 tokens, and 40% of the rates, falling
        from the start.

        At such rates noise undoes in 500 steps what the last fall of the rate had settled, and the rest of the run makes good for it and
        more; at 12% four runs of together 13,000 steps gained nothing. A mean of both weights reads unseen wordings better than either
        (Wortsman et al. 2022, Robust fine-tuning of zero-shot models; LOG.md has the figures).
        """
        muon_rate, adam_rate = 0.4 * self.muon_rate, 0.4 * self.adam_rate
        tokens, rows = max(self.tokens, 10_000), max(self.pool_rows, 384)
        return replace(
            self, drill_pools=0, muon_rate=muon_rate, adam_rate=adam_rate, tokens=tokens, pool_rows=rows, flat=0.0, kept_share=0.35
        )

    def with_large_batches(self) -> Recipe:
        """The recipe for a GPU: thirteen times the tokens a step, five times the steps. Nobody has yet measured what comes of it."""
        return replace(self, steps=5 * self.steps, tokens=1 << 16, pool_rows=16 * self.pool_rows)

    def drill(self, pool: int) -> float:
        """Share of copying drills: nothing else until copying forms, then a little."""
        return 1.0 if pool < self.drill_pools else self.drill_after

    def rows(self, pool: int) -> int:
        """Rows of a pool: a drill pool is one small, cheap batch."""
        return self.drill_rows if pool < self.drill_pools else self.pool_rows
