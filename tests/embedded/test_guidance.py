"""What training is told beside the answer: the sources are really copied, the roles are the gold fields, the losses mean what they say."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
import torch
from tokenizers import Tokenizer

from seqgpt_lab.documents.document import Document
from seqgpt_lab.embedded.batches import Batches, Pools, document_questions
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.embedded.corpus.questions import Question
from seqgpt_lab.embedded.drills import repeat_drill
from seqgpt_lab.embedded.guidance import Roles, copied_from
from seqgpt_lab.embedded.guide import Guide
from seqgpt_lab.embedded.packed_attention import packed_bias, packed_bias_of
from seqgpt_lab.embedded.packing import PAD_BLOCK, PackedRow, collate, pack
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.train import Trainer
from seqgpt_lab.engine.attention import alibi_slopes

ROLES = Roles(KINDS)


def rows(tokenizer: Tokenizer, count: int) -> list[tuple[Document, list[Question], PackedRow]]:
    random = Random(4)
    made = [document_questions(KINDS, "train", random, 3) for _ in range(count)]
    return [(document, asked, pack(tokenizer, document.text, asked, document.gold, ROLES)) for document, asked in made]


def test_every_source_is_the_token_that_is_to_be_written(tokenizer: Tokenizer) -> None:
    for _, _, row in rows(tokenizer, 60):
        assert all(row.ids[source] == row.targets[at] and row.blocks[source] == 0 for at, source in row.sources)


def test_every_character_of_every_value_has_a_source(tokenizer: Tokenizer) -> None:
    """The answer, with what has a source taken out, holds labels, separators and None only: nothing of a value is left."""
    for _, asked, row in rows(tokenizer, 60):
        copied = {at for at, _ in row.sources}
        for block, question in enumerate(asked, 1):
            places = [at for at, of in enumerate(row.blocks) if of == block and row.targets[at] >= 0]
            left = tokenizer.decode([row.targets[at] for at in places if at not in copied], skip_special_tokens=True)
            if question.task == "抽取":
                allowed = "".join(f"{label}: \n" for label in question.labels)
                assert not set(left.replace("\t", "").replace("None", "")) - set(allowed)


def test_a_value_that_stands_twice_has_two_sources() -> None:
    values = {"张伟": [[[3], [4]], [[9], [10]]]}
    offsets = [(at, at + 1) for at in range(7)]
    assert copied_from("人: 张伟\n", offsets, values) == [(3, 3), (4, 4), (3, 9), (4, 10)]


def test_roles_are_the_gold_fields(tokenizer: Tokenizer) -> None:
    for document, _, row in rows(tokenizer, 40):
        tokens = tokenizer.encode(f"输入: {document.text}\n")
        begun: set[int] = set()  # a rare character has several tokens, of which the first begins it
        for token, (start, end) in enumerate(tokens.offsets):
            covering = [entity for entity in document.gold if entity.start < end - 4 and start - 4 < entity.end]
            if not covering:
                assert row.roles[token] == 0
            elif len(covering) == 1:
                first = ROLES.first[covering[0].label]
                assert row.roles[token] == first + (start - 4 > covering[0].start or start in begun)
            begun.add(start)
        assert set(row.roles[len(tokens.ids) :]) <= {-100}


def test_the_bias_of_some_tokens_is_that_of_all(tokenizer: Tokenizer) -> None:
    batch = collate([*(row for _, _, row in rows(tokenizer, 3)), repeat_drill(tokenizer, Random(1))], 3)
    slopes = alibi_slopes(4)
    row, token = torch.cartesian_prod(torch.arange(4), torch.arange(batch.ids.shape[1])).unbind(1)
    assert (batch.blocks == PAD_BLOCK).any()
    assert torch.equal(packed_bias_of(batch, row, token, slopes[2]), packed_bias(batch, slopes)[row, 2, token])


def test_source_loss_is_the_attention_that_misses(tokenizer: Tokenizer) -> None:
    batch = collate([repeat_drill(tokenizer, Random(1))], 3)
    count = batch.ids.shape[1]
    query, key = torch.zeros(1, count, count), torch.zeros(1, count, count)
    none = torch.tensor(0.0)
    seen = [1 + at for at in batch.sources[:, 1].tolist()]  # a token sees those before it and itself
    even = Guide.source_loss(batch, query, key, none)
    assert even.item() == pytest.approx(sum(map(math.log, seen)) / len(seen), rel=1e-5)  # looking everywhere alike
    key[0] = 100 * torch.eye(count)
    query[0, batch.sources[:, 1], batch.sources[:, 2]] = 100.0
    assert Guide.source_loss(batch, query, key, none).item() == pytest.approx(0.0, abs=1e-6)
    assert Guide.source_loss(batch, query, key, torch.tensor(1e5)).item() > 100  # where ALiBi binds to what is near


def test_guidance_is_learnt_and_leaves_no_trace_in_the_model(tokenizer: Tokenizer) -> None:
    recipe = Recipe(steps=40, hidden_size=256, layers=1, tokens=600, pool_rows=6, drill_pools=0, warmup=1)
    guided, free = (Trainer(replace(recipe, guide_weight=weight), tokenizer, KINDS) for weight in (1.0, 0.0))
    batch = Batches(Pools(tokenizer, KINDS, recipe)).next()

    def misses(trainer: Trainer) -> float:
        with torch.no_grad():
            trainer.answer_logits(batch)
        assert trainer.attention.last is not None
        query, key = trainer.attention.last
        head = trainer.guide.head
        return float(Guide.source_loss(batch, query[:, :, head], key[:, :, head], trainer.model.slopes[head]))

    assert misses(guided) == pytest.approx(misses(free))
    for _ in range(12):
        guided.train_step()
        free.train_step()
    assert misses(guided) < misses(free) - 0.1
    assert guided.model.state_dict().keys() == free.model.state_dict().keys()
    assert not any("probe" in name for name in guided.model.state_dict())
