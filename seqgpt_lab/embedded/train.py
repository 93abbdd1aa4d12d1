"""Trains the engine's own BLOOM to extract from synthetic documents: seeded, resumable, watched on held-out templates."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from seqgpt_lab.embedded.annotated import AnnotatedSets
from seqgpt_lab.embedded.batches import Batches, Pools, document_questions
from seqgpt_lab.embedded.corpus.kind import Kind, drawn_of
from seqgpt_lab.embedded.fused.functions import cross_entropy, gelu
from seqgpt_lab.embedded.guide import Guide
from seqgpt_lab.embedded.muon import Muon
from seqgpt_lab.embedded.packed_attention import PackedAttention
from seqgpt_lab.embedded.packing import Batch, PackedRow, collate, pack
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.resuming import CHECKPOINT, check_made_alike, drawn_as_before, made_with, read_state
from seqgpt_lab.embedded.tokenizer import token_id
from seqgpt_lab.engine.config import ModelConfig, cpu_multiplies_bf16
from seqgpt_lab.engine.linear import Linear
from seqgpt_lab.engine.memory import within_memory
from seqgpt_lab.engine.model import Bloom, fresh_geometry
from seqgpt_lab.files import atomic_stream

Report = Callable[[str], None]
CPU = torch.device("cpu")


class Trainer:
    """Model, optimisers and step counter; everything a checkpoint holds.

    device: where it trains; a checkpoint can go on on another. workers: processes that make batches ahead (`Batches`).
    compiled: attention, activation and loss by `fused`, which must be loaded and is for a CPU; only last digits differ.
    start: the SHA-256 of each file of the weights that the model will be given to begin from; empty for the random ones it has.
    """

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: Tokenizer,
        kinds: Sequence[Kind],
        real: AnnotatedSets | None = None,
        *,
        device: torch.device = CPU,
        workers: int = 0,
        compiled: bool = False,
        start: str = "",
    ) -> None:
        # Averages of gradients that stopped coming decay into denormal numbers, which a CPU multiplies many times slower.
        torch.set_flush_denormal(True)
        torch.manual_seed(recipe.seed)
        self.recipe, self.tokenizer, self.kinds, self.step = recipe, tokenizer, kinds, 0
        config = ModelConfig(tokenizer.get_vocab_size(), recipe.hidden_size, recipe.layers, recipe.hidden_size // 64)
        self.device, self.dtype = device, _fast_dtype(device)
        self.attention = PackedAttention(compiled)
        self.model = Bloom(config, attention=self.attention)
        initialise(self.model)
        for module in self.model.modules():
            if compiled and isinstance(module, Linear):
                module.activation = gelu
        pools = Pools(tokenizer, kinds, recipe, real)
        self.batches = Batches(pools, workers)
        self.made_with = made_with(recipe, tokenizer, list(pools.roles.first), real, start)
        self.guide = Guide(recipe.hidden_size, pools.roles, recipe.guide_head)
        self.model.to(device)
        self.guide.to(device)
        matrices = [weight for weight in self.model.h.parameters() if weight.ndim == 2]
        chosen = {id(weight) for weight in matrices}
        others = [weight for weight in (*self.model.parameters(), *self.guide.parameters()) if id(weight) not in chosen]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=recipe.muon_rate, dtype=self.dtype),
            torch.optim.AdamW(others, lr=recipe.adam_rate, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self._whole, self._at = True, (0, 0)  # no update half made; which batch is next when one is
        self.rates = [recipe.muon_rate, recipe.adam_rate]
        self._below: Tensor | None = None  # what entered the last layer, for the guide
        self.model.h[-1].register_forward_pre_hook(self._keep_below)

    def _keep_below(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._below = inputs[0]

    def draw(self, kinds: Sequence[Kind]) -> None:
        """Draw the same kinds' templates otherwise, before the first batch."""
        self.kinds = self.batches.pools.kinds = kinds

    def train_step(self) -> tuple[float, int]:
        """One update; returns the loss and how many tokens the batch held."""
        drawn = self.batches.next()
        batch = drawn.to(self.device)
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * self.recipe.rate(self.step)
        logits, targets = self.answer_logits(batch)
        loss = cross_entropy(logits, targets) if self.attention.compiled else functional.cross_entropy(logits.float(), targets)
        assert self.attention.last is not None and self._below is not None, "the forward pass has just set both"
        guidance = self.guide(batch, self._below, *self.attention.last, self.model.slopes)
        (loss + self.recipe.guide_weight * guidance).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._whole = False
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step, self._at = self.step + 1, (self.batches.pool, self.batches.offset)
        self._whole = True
        return loss.item(), int((drawn.blocks >= 0).sum())

    def answer_logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits [N, V] at the N positions that have a target, in the dtype of the products, and the targets [N]."""
        self.attention.batch = batch
        wanted = batch.targets >= 0
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            logits = self.model.logits(self.model(batch.ids, fresh_geometry(batch.ids), asked=wanted))
        return logits, batch.targets[wanted]

    def exact_share(self, documents: int) -> float:
        """Share of questions about so many held-out documents whose whole greedy answer is right. The same number draws the same documents
        each time."""
        random = Random(0)
        asked_of = [document_questions(self.kinds, "dev", random, 2) for _ in range(documents)]
        rows = [pack(self.tokenizer, document.text, questions) for document, questions in asked_of]
        right = [answer for at in range(0, documents, 16) for row in self.right(rows[at : at + 16]) for answer in row]
        return sum(right) / len(right)

    @torch.no_grad()
    def right(self, rows: Sequence[PackedRow]) -> list[list[bool]]:
        """For each question of each row, whether its whole greedy answer is right: every answer token must be the most likely one."""
        batch = collate(rows, token_id(self.tokenizer, "<pad>")).to(self.device)
        logits, targets = self.answer_logits(batch)
        wrong = torch.zeros_like(batch.targets, dtype=torch.bool)
        wrong[batch.targets >= 0] = logits.argmax(-1) != targets
        missed = [set(blocks[bad].tolist()) for blocks, bad in zip(batch.blocks.cpu(), wrong.cpu(), strict=True)]
        return [[block not in bad for block in range(1, max(row.blocks) + 1)] for row, bad in zip(rows, missed, strict=True)]

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all; amid an update nothing is written. Raises OSError as the file system does."""
        if not self._whole:
            return
        state = {
            **self.made_with,
            "step": self.step,
            "batches": list(self._at),
            "model": self.model.state_dict(),
            "guide": self.guide.state_dict(),
            "drawn": drawn_of(self.kinds),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }
        with atomic_stream(path) as stream:
            try:
                torch.save(state, stream)
            except RuntimeError as error:  # what torch makes of a full disk, while it tidies up
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint of the same recipe, tokenizer, fields, start and sets. Raises OptionError when they differ."""
        check_made_alike(state, self.made_with)
        self.step = int(state["step"])
        self.batches.pool, self.batches.offset = self._at = tuple(state["batches"])
        self.model.load_state_dict(state["model"])
        self.guide.load_state_dict(state["guide"])
        if "drawn" in state:
            self.draw(drawn_as_before(self.kinds, state["drawn"]))
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def _fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it faster, else float32: float16 would need its losses scaled."""
    if device.type == "cpu":
        faster = cpu_multiplies_bf16() and _product_seconds(torch.bfloat16) < _product_seconds(torch.float32)
        return torch.bfloat16 if faster else torch.float32
    with torch.cuda.device(device):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32


@cache  # two trainers of one process must not differ because the machine was busy
def _product_seconds(dtype: torch.dtype) -> float:
    """The shortest of some products of training's size. An Intel server without AMX takes twice as long in bfloat16, an AMD one a third."""
    left, right = torch.ones(2048, 256, dtype=dtype), torch.ones(1024, 256, dtype=dtype)
    seconds = []
    for _ in range(8):
        since = time.perf_counter()
        functional.linear(left, right)
        seconds.append(time.perf_counter() - since)
    return min(seconds)


def initialise(model: Bloom) -> None:
    """BLOOM's initialisation: normal weights of deviation 0.02; matrices that end a residual branch start smaller."""
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            branch_end = name.endswith(("dense.weight", "dense_4h_to_h.weight"))
            nn.init.normal_(weight, std=0.02 / math.sqrt(2 * model.config.layers) if branch_end else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(weight)


def train(trainer: Trainer, directory: Path, report: Report, *, evaluate_every: int = 250, save_seconds: float = 120) -> Path:
    """Train to the recipe's last step, resuming from `directory`/checkpoint.pt if it is there; returns the checkpoint's path.

    evaluate_every: steps between looks at held-out questions. save_seconds: between saves, so that a fast device does not mostly save.
    Interrupting (Ctrl-C) saves first, but amid an update: then the last save stays. Progress goes to `report`, a line at a time.
    Raises CheckpointError for a checkpoint that is none, OptionError for one of another run, OSError for one that cannot be written (the
    last one then stays), CapacityError where a step does not fit into memory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / CHECKPOINT
    if path.exists():
        trainer.load(read_state(path))
        report(f"resumed at step {trainer.step}")
    fits = within_memory(
        lambda: f"step {trainer.step + 1}, of at most {trainer.recipe.tokens:,} tokens, does not fit into the memory of {trainer.device}",
        "end what else is there (`seqgpt-lab doctor` names it) and go on with the same command, or start in another OUT with "
        "--small-batches",
    )
    try:
        try:
            with fits:
                _run(trainer, path, report, evaluate_every, save_seconds)
        finally:
            trainer.save(path)
    finally:
        trainer.batches.close()
    return path


def _run(trainer: Trainer, path: Path, report: Report, evaluate_every: int, save_seconds: float) -> None:
    steps, smooth, tokens, since = trainer.recipe.steps, math.nan, 0, time.monotonic()
    saved = since
    while trainer.step < steps:
        loss, count = trainer.train_step()
        smooth = loss if math.isnan(smooth) else 0.95 * smooth + 0.05 * loss
        tokens += count
        if trainer.step % 20 == 0 or trainer.step == steps:
            rate = tokens / (time.monotonic() - since)
            report(f"step {trainer.step}/{steps}  loss {smooth:.4f}  {rate:,.0f} tokens/s")
            tokens, since = 0, time.monotonic()
        if trainer.step % evaluate_every == 0 or trainer.step == steps:
            looking = time.monotonic()
            report(f"step {trainer.step}/{steps}  held-out answers exact {trainer.exact_share(96):.3f}")
            since += time.monotonic() - looking
        if time.monotonic() - saved >= save_seconds:
            trainer.save(path)
            saved = time.monotonic()
