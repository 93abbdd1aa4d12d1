"""Training as a user meets it: what is packed is what the model will be asked, a killed run resumes exactly, what is exported loads."""

from __future__ import annotations

import errno
import io
import multiprocessing
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn import functional

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.embedded import train as train_module
from seqgpt_lab.embedded.ahead import made_ahead
from seqgpt_lab.embedded.annotated import AnnotatedSet, AnnotatedSets
from seqgpt_lab.embedded.batches import Batches, Pools, document_questions
from seqgpt_lab.embedded.corpus.kinds import KINDS, TRAINED_KINDS
from seqgpt_lab.embedded.drills import form_drill, repeat_drill
from seqgpt_lab.embedded.export import export
from seqgpt_lab.embedded.muon import orthogonalise
from seqgpt_lab.embedded.packed_attention import PackedAttention, attend_in_full
from seqgpt_lab.embedded.packing import Batch, collate, pack
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.train import Trainer, train
from seqgpt_lab.embedded.train_embedded import grow, train_embedded
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.model import Bloom, fresh_geometry
from seqgpt_lab.engine.reference import ReferenceEngine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import CapacityError, CheckpointError, OptionError, WorkerError
from seqgpt_lab.extraction.prompt import build_prompt
from seqgpt_lab.extraction.tokenizer import GENERATE_TOKEN, TextTokenizer
from tests.full_disk import room_for

SMALL = Recipe(steps=6, hidden_size=64, layers=1, tokens=600, pool_rows=6, drill_pools=1, drill_rows=4)


def test_tokenizer_has_blooms_ids_and_one_token_a_common_character(tokenizer: Tokenizer) -> None:
    assert [tokenizer.id_to_token(index) for index in range(4)] == ["<unk>", "<s>", "</s>", "<pad>"]
    assert tokenizer.token_to_id(GENERATE_TOKEN) == tokenizer.get_vocab_size() - 1
    assert len(tokenizer.encode("张伟，三十五岁，电话：").ids) == len("张伟，三十五岁，电话：")


def test_a_span_has_the_same_tokens_wherever_it_stands(tokenizer: Tokenizer) -> None:
    alone = tokenizer.encode("华為A1").ids
    inside = tokenizer.encode("公司: 华為A1\n").ids
    assert inside[-len(alone) - 1 : -1] == alone


@pytest.mark.parametrize("way", ["plain", "compiled"])
def test_packed_questions_see_what_a_lone_prompt_sees(
    way: str, tokenizer: Tokenizer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each packed answer's logits equal those of the plain prompt that the extractor builds: the oracle is the unpacked model."""
    if way == "compiled":
        request.getfixturevalue("compiled")
    torch.manual_seed(0)
    attention = PackedAttention(way == "compiled")
    model = Bloom(ModelConfig(tokenizer.get_vocab_size(), 128, 2, 2), attention=attention)
    export(model, tokenizer, tmp_path)
    prompts = TextTokenizer.load(tmp_path / "tokenizer.json")
    random = Random(2)
    packs = [document_questions(KINDS, "train", random, 3) for _ in range(4)]
    batch = collate([pack(tokenizer, document.text, questions) for document, questions in packs], 3)
    with torch.no_grad():
        attention.batch = batch
        packed = model(batch.ids, fresh_geometry(batch.ids))
        attention.batch = None
        for row, (document, questions) in enumerate(packs):
            for block, question in enumerate(questions, 1):
                prompt = build_prompt(prompts, document.text, question.labels, task=question.task, max_length=4096)
                answer = prompts.encode(question.answer).ids
                ids = torch.tensor([[*prompt.ids, *answer]])
                alone = model(ids, fresh_geometry(ids))[0, len(prompt.ids) - 1 :]
                mine = packed[row][(batch.blocks[row] == block) & (batch.targets[row] >= 0)]
                assert torch.allclose(alone, mine, atol=2e-4)
                targets = batch.targets[row][(batch.blocks[row] == block) & (batch.targets[row] >= 0)]
                assert targets.tolist() == [*answer, 2]


def test_what_is_learnt_from_is_what_the_whole_pass_gives(tokenizer: Tokenizer) -> None:
    """The last layer computes only the tokens that have a target."""
    trainer = Trainer(replace(SMALL, layers=2, drill_pools=0), tokenizer, KINDS)
    trainer.dtype = torch.float32
    batch = trainer.batches.next()
    wanted = batch.targets >= 0
    with torch.no_grad():
        logits, targets = trainer.answer_logits(batch)
        whole = trainer.model.logits(trainer.model(batch.ids, fresh_geometry(batch.ids)))
    torch.testing.assert_close(logits, whole[wanted], atol=1e-5, rtol=1e-4)
    assert torch.equal(targets, batch.targets[wanted]) and wanted.any() and not wanted.all()


def test_attention_in_full_is_the_fused_one_forwards_and_backwards() -> None:
    torch.manual_seed(0)
    bias = torch.randn(2, 3, 9, 9).masked_fill(torch.ones(9, 9, dtype=torch.bool).triu(1), -torch.inf)
    parts = [torch.randn(2, 9, 3, 64, requires_grad=True) for _ in range(3)]
    full = attend_in_full(*parts, bias)
    query, keys, values = (part.transpose(1, 2) for part in parts)
    fused = functional.scaled_dot_product_attention(query, keys, values, attn_mask=bias).transpose(1, 2)
    torch.testing.assert_close(full, fused, atol=1e-5, rtol=1e-4)
    weights = torch.randn_like(full)
    for mine, theirs in zip(*(torch.autograd.grad((each * weights).sum(), parts) for each in (full, fused)), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


def test_no_question_is_asked_twice_of_a_text() -> None:
    random = Random(4)
    for _ in range(200):
        _, questions = document_questions(TRAINED_KINDS, "train", random, 3, 0.3)
        assert len({(question.task, question.labels) for question in questions}) == len(questions) == 3


def test_drills_ask_for_copies_only(tokenizer: Tokenizer) -> None:
    row = repeat_drill(tokenizer, Random(1))
    wanted = [target for target in row.targets if target >= 0]
    assert wanted == [*row.ids[1 : len(row.ids) // 2], 2]
    form = form_drill(tokenizer, Random(1))
    assert any(target >= 0 for target in form.targets) and len(form.ids) == len(form.targets)


def test_batches_keep_to_the_token_budget_and_repeat(tokenizer: Tokenizer) -> None:
    first, again = (Batches(Pools(tokenizer, KINDS, SMALL)) for _ in range(2))
    for _ in range(6):
        batch, same = first.next(), again.next()
        assert torch.equal(batch.ids, same.ids) and torch.equal(batch.targets, same.targets)
        assert batch.ids.shape[0] == 1 or batch.ids.numel() <= SMALL.tokens + 8 * batch.ids.shape[0]


def test_no_batch_is_a_small_rest(tokenizer: Tokenizer) -> None:
    """One of a few rows would move the weights as far as a full one."""
    pool = Pools(tokenizer, KINDS, replace(SMALL, drill_pools=0, pool_rows=97, tokens=4000))[0]
    sizes = [len(batch.ids) * batch.ids.shape[1] for batch in pool]
    assert sum(len(batch.ids) for batch in pool) == 97 and len(pool) > 3
    assert min(sizes) > 4000 / 3


def test_batches_made_ahead_by_workers_are_those_made_here(tokenizer: Tokenizer) -> None:
    """Also when a checkpoint sends training on from another place."""
    here, ahead = Batches(Pools(tokenizer, KINDS, SMALL)), Batches(Pools(tokenizer, KINDS, SMALL), workers=2)
    for pool in (0, 4):
        for batches in (here, ahead):
            batches.pool, batches.offset = pool, 0
        for _ in range(8):
            for mine, theirs in zip(ahead.next().parts(), here.next().parts(), strict=True):
                assert mine.dtype == theirs.dtype and torch.equal(mine, theirs)
        assert (ahead.pool, ahead.offset) == (here.pool, here.offset) and ahead.pool > pool


def test_a_pool_that_a_worker_cannot_make_is_an_error_here() -> None:
    class Broken:
        def __getitem__(self, pool: int) -> list[Batch]:
            raise OptionError(f"no pool {pool}")

    with pytest.raises(WorkerError, match=r"no pool 3(.|\n)*workers=0"):
        next(made_ahead(Broken(), 3, workers=1))


def test_workers_end_with_training(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """And it ends with what it ends with where no worker takes part."""
    models = []
    for workers in (0, 2):
        trainer = Trainer(SMALL, tokenizer, KINDS, workers=workers)
        train(trainer, tmp_path / str(workers), lambda line: None)
        assert not multiprocessing.active_children()
        models.append(trainer.model.state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


@pytest.mark.parametrize("blow", (signal.SIGKILL, signal.SIGTERM), ids=lambda blow: blow.name)
def test_workers_end_with_a_process_that_is_killed(blow: signal.Signals) -> None:
    """With pools half sent, as they are when a device is slower than the workers: they are larger than a pipe holds."""
    code = (
        "import multiprocessing, time, torch\n"
        "from seqgpt_lab.embedded.ahead import made_ahead\n"
        "from seqgpt_lab.embedded.packing import Batch\n"
        "class Large:\n"
        "    def __getitem__(self, pool):\n"
        "        return [Batch(*[torch.zeros(1 << 18, dtype=torch.int64)] * 6)]\n"
        "pools = made_ahead(Large(), 0, workers=2)\n"
        "next(pools), next(pools)  # one of each: a worker knows whom it works for once it has begun\n"
        "print(*[child.pid for child in multiprocessing.active_children()], flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(number) for number in process.stdout.readline().split()]
        time.sleep(1)  # the next pools get as far as the pipe
        process.send_signal(blow)
    assert len(workers) == 2
    _gone, alive = psutil.wait_procs([psutil.Process(worker) for worker in workers if psutil.pid_exists(worker)], timeout=60)
    assert not [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE]


def test_orthogonalise_keeps_singular_vectors() -> None:
    torch.manual_seed(0)
    for shape in ((2, 48, 16), (2, 16, 48)):
        matrices = torch.randn(shape)
        result = orthogonalise(matrices)
        values = torch.linalg.svdvals(result)
        assert values.min() > 0.6 and values.max() < 1.3
        u, _, v = torch.linalg.svd(matrices, full_matrices=False)
        diagonal = u.mT @ result @ v.mT
        assert torch.allclose(diagonal - torch.diag_embed(torch.diagonal(diagonal, dim1=1, dim2=2)), torch.zeros_like(diagonal), atol=1e-3)


def test_a_killed_training_resumes_to_the_same_weights(tokenizer: Tokenizer, tmp_path: Path) -> None:
    lines: list[str] = []
    whole = Trainer(SMALL, tokenizer, KINDS)
    train(whole, tmp_path / "whole", lines.append)
    half = Trainer(SMALL, tokenizer, KINDS)
    for _ in range(3):
        half.train_step()
    (tmp_path / "half").mkdir()
    half.save(tmp_path / "half" / "checkpoint.pt")
    rest = Trainer(SMALL, tokenizer, KINDS)
    train(rest, tmp_path / "half", lines.append)
    assert "resumed at step 3" in lines
    for mine, theirs in zip(rest.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    with pytest.raises(OptionError, match="muon_rate"):
        train(Trainer(replace(SMALL, muon_rate=0.5), tokenizer, KINDS), tmp_path / "whole", lines.append)


def test_an_update_that_is_half_made_is_not_saved(tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Muon has moved the matrices and AdamW not the rest when the signal comes: the checkpoint before it stays, and goes on the same."""
    whole, broken = Trainer(SMALL, tokenizer, KINDS), Trainer(SMALL, tokenizer, KINDS)
    train(whole, tmp_path / "whole", lambda line: None)
    for _ in range(3):
        broken.train_step()
    (tmp_path / "broken").mkdir()
    broken.save(tmp_path / "broken" / "checkpoint.pt")
    monkeypatch.setattr(broken.optimisers[1], "step", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(broken, tmp_path / "broken", lambda line: None)
    rest = Trainer(SMALL, tokenizer, KINDS)
    train(rest, tmp_path / "broken", lambda line: None)
    for mine, theirs in zip(rest.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_checkpoint_of_other_fields_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    Trainer(SMALL, tokenizer, KINDS).save(tmp_path / "checkpoint.pt")
    with pytest.raises(OptionError, match="other fields"):
        train(Trainer(SMALL, tokenizer, KINDS[:-1]), tmp_path, lambda line: None)


@pytest.fixture
def all_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates are drawn all alike by who trains on from a model, which asking about each would take minutes."""
    monkeypatch.setattr("seqgpt_lab.embedded.train_embedded.drawn_by_hardness", lambda trainer, report: trainer.kinds)


@pytest.mark.usefixtures("all_alike")
def test_training_goes_on_only_from_the_start_it_began_with(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A part of the start is averaged into what is exported. A checkpoint of a version that did not note the start goes on."""
    one, other = (export(Trainer(replace(SMALL, seed=seed), tokenizer, KINDS).model, tokenizer, tmp_path / str(seed)) for seed in (1, 2))
    recipe, out = replace(SMALL, steps=1), tmp_path / "out"
    train_embedded(out, recipe, lambda line: None, one)
    kept = (out / "checkpoint.pt").read_bytes()
    with pytest.raises(OptionError, match=r"SHA-256 \w{64}, --start gives \w{64}; give the same model"):
        train_embedded(out, recipe, lambda line: None, other)
    assert (out / "checkpoint.pt").read_bytes() == kept
    lines: list[str] = []
    train_embedded(out, recipe, lines.append, one)
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    torch.save({name: value for name, value in state.items() if name not in ("start", "real")}, out / "checkpoint.pt")
    train_embedded(out, recipe, lines.append, other)
    assert [line for line in lines if "resumed" in line] == ["resumed at step 1"] * 2


def test_training_goes_on_only_with_the_real_texts_it_learned_from(tokenizer: Tokenizer, tmp_path: Path) -> None:
    documents = (Document("a", "他在苏州。", (Entity("地点", 2, 4, "苏州"),)),)
    sets = [AnnotatedSet(name, documents, {"地点": ("地名",)}, True, 1.0) for name in ("prose", "taught")]
    Trainer(SMALL, tokenizer, KINDS, AnnotatedSets(sets)).save(tmp_path / "checkpoint.pt")
    for real, now in ((None, "none"), (AnnotatedSets(sets[:1]), "prose")):
        with pytest.raises(OptionError, match=f"prose, taught; now there are: {now}; give the same --annotated and --teach"):
            train(Trainer(SMALL, tokenizer, KINDS, real), tmp_path, lambda line: None)
    trainer = Trainer(SMALL, tokenizer, KINDS, AnnotatedSets(sets))
    train(trainer, tmp_path, lambda line: None)
    assert trainer.step == SMALL.steps


@pytest.mark.parametrize("workers", (0, 1))
def test_a_place_beyond_a_pool_is_the_next_pools_beginning(tokenizer: Tokenizer, workers: int) -> None:
    """So it is where the corpus, or the annotated texts, make fewer batches of a pool than when the checkpoint was written."""
    here, beyond = Batches(Pools(tokenizer, KINDS, SMALL)), Batches(Pools(tokenizer, KINDS, SMALL), workers)
    here.pool, (beyond.pool, beyond.offset) = 3, (2, 1000)
    for _ in range(6):
        assert torch.equal(beyond.next().ids, here.next().ids)
    assert (beyond.pool, beyond.offset) == (here.pool, here.offset)
    beyond.close()


def test_a_checkpoint_that_is_none_is_named_and_left(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path, trainer = tmp_path / "checkpoint.pt", Trainer(SMALL, tokenizer, KINDS)
    trainer.save(path)
    whole = path.read_bytes()
    torch.save({"epoch": 3}, path)
    foreign = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"no checkpoint", foreign):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"checkpoint\.pt is no .*; name another OUT, or remove the file"):
            train(trainer, tmp_path, lambda line: None)
        assert path.read_bytes() == content


def test_an_interrupted_training_saves_first(tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(SMALL, tokenizer, KINDS)
    step = trainer.train_step
    monkeypatch.setattr(trainer, "train_step", lambda: step() if trainer.step < 2 else (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(trainer, tmp_path, lambda line: None)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_step_that_does_not_fit_is_told_with_what_helps_and_saved_before(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(SMALL, tokenizer, KINDS)
    step, full = trainer.train_step, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    monkeypatch.setattr(trainer, "train_step", lambda: step() if trainer.step < 2 else (_ for _ in ()).throw(full))
    with pytest.raises(CapacityError, match=r"step 3, of at most 600 tokens, does not fit .* of cpu: CUDA out .*; end .* --small-batches"):
        train(trainer, tmp_path, lambda line: None)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


def test_a_full_disk_is_told_as_one_and_leaves_the_last_checkpoint_and_no_worker(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(replace(SMALL, steps=1), tokenizer, KINDS, workers=1)
    trainer.save(tmp_path / "checkpoint.pt")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    save = trainer.save
    monkeypatch.setattr(trainer, "save", lambda path: save(Path("/dev/full")))
    with pytest.raises(OSError, match="No space left on device"):
        train(trainer, tmp_path, lambda line: None)
    assert trainer.step == 1 and not multiprocessing.active_children()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("room", (0, 700, 100_000))
def test_a_checkpoint_without_room_is_the_systems_error(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """torch itself says `unexpected pos 768 vs 662` of it."""

    class Full(io.BytesIO):
        def write(self, part: Any) -> int:
            if self.tell() + len(part) > room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(part)

    monkeypatch.setattr(train_module, "atomic_stream", lambda path: nullcontext(Full()))
    with pytest.raises(OSError, match="No space left on device"):
        Trainer(SMALL, tokenizer, KINDS).save(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize(("seconds", "steps"), [(0, [1, 2, 3, 4, 5, 6, 6]), (3600, [6])])
def test_training_saves_as_time_goes_by_and_at_the_end(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, steps: list[int]
) -> None:
    trainer, saved = Trainer(SMALL, tokenizer, KINDS), []
    monkeypatch.setattr(trainer, "save", lambda path: saved.append(trainer.step))
    train(trainer, tmp_path, lambda line: None, save_seconds=seconds)
    assert saved == steps


def test_an_exported_model_runs_here_and_in_transformers(tokenizer: Tokenizer, tmp_path: Path) -> None:
    trainer = Trainer(SMALL, tokenizer, KINDS)
    (tmp_path / "README.md").write_text("kept", encoding="utf-8")
    export(trainer.model, tokenizer, tmp_path)
    requests = [Request(tuple(tokenizer.encode(text).ids), 5) for text in ("输入: 你好", "姓名：张伟")]
    with Engine.load(tmp_path, dtype="fp32", device="cpu") as engine:
        ours = engine.generate(requests)
    theirs = ReferenceEngine.load(tmp_path, dtype="fp32", device="cpu").generate(requests)
    assert [completion.token_ids for completion in ours] == [completion.token_ids for completion in theirs]
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "kept"
    assert not list(tmp_path.parent.glob("*.part"))


@pytest.mark.parametrize("room", (1_000, 100_000))  # for config.json alone, and for the tokenizer too
def test_a_disk_without_room_leaves_the_exported_model_that_was_there(tokenizer: Tokenizer, tmp_path: Path, room: int) -> None:
    target = export(Bloom(ModelConfig(tokenizer.get_vocab_size(), 64, 1, 1)), tokenizer, tmp_path / "model")
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    with room_for(room), pytest.raises(OSError, match="File too large") as raised:
        export(Bloom(ModelConfig(tokenizer.get_vocab_size(), 64, 1, 1)), tokenizer, target)
    assert raised.value.filename == str(target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_disk_without_room_leaves_the_checkpoint_that_was_there(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path, trainer = tmp_path / "checkpoint.pt", Trainer(SMALL, tokenizer, KINDS)
    path.write_text("the last one")
    with room_for(100_000), pytest.raises(OSError, match="File too large") as raised:
        trainer.save(path)
    assert raised.value.filename == str(path) and path.read_text() == "the last one"


@pytest.mark.usefixtures("all_alike")
def test_training_can_begin_from_a_models_weights(tokenizer: Tokenizer, tmp_path: Path) -> None:
    first = Trainer(SMALL, tokenizer, KINDS)
    start = export(first.model, tokenizer, tmp_path / "start")
    lines: list[str] = []
    out = train_embedded(tmp_path / "out", replace(SMALL, steps=1, muon_rate=0.0, adam_rate=0.0), lines.append, start)
    before, after = (load_file(folder / "model.safetensors") for folder in (start, out))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    with pytest.raises(OptionError, match="hidden_size=128"):
        train_embedded(tmp_path / "other", replace(SMALL, hidden_size=128), lines.append, start)
    with pytest.raises(OptionError, match="is the one that training would replace"):
        train_embedded(tmp_path / "out", SMALL, lines.append, tmp_path / "out" / "model")


@pytest.mark.usefixtures("all_alike")
def test_what_began_from_a_model_ends_part_of_the_way_back_to_it(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The checkpoint holds what training ended with; and the same command again, which has nothing left to train, writes the same."""
    start = export(Trainer(SMALL, tokenizer, KINDS).model, tokenizer, tmp_path / "start")
    for _ in range(2):
        out = train_embedded(tmp_path / "out", replace(SMALL, steps=2, muon_rate=2.0, adam_rate=0.2), lambda line: None, start)
        trained = Trainer(SMALL, tokenizer, KINDS).model
        trained.load_state_dict(torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["model"])
        folders = (start, export(trained, tokenizer, tmp_path / "ended"), out)
        before, ended, after = (load_file(folder / "model.safetensors") for folder in folders)
        assert any(not torch.allclose(before[name], ended[name], atol=1e-3) for name in before)
        for name, weight in after.items():
            torch.testing.assert_close(weight, 0.35 * before[name] + 0.65 * ended[name], atol=2e-4, rtol=2e-3)


@pytest.mark.parametrize(("few", "many"), [(1, 2), (2, 3), (4, 6), (3, 8)])
def test_a_grown_model_writes_the_same_logits_and_can_still_learn(few: int, many: int) -> None:
    """Function-preserving growth: the oracle is the smaller model itself; and no new weight is left without a gradient."""
    torch.manual_seed(few)
    small, large = (Bloom(ModelConfig(64, 128, layers, 2)) for layers in (few, many))
    grow(large, small)
    ids = torch.randint(0, 64, (2, 9))
    written = large.logits(large(ids, fresh_geometry(ids)))
    torch.testing.assert_close(written, small.logits(small(ids, fresh_geometry(ids))))
    written.square().sum().backward()  # type: ignore[no-untyped-call]
    assert all(layer.dense.weight.grad is not None and layer.dense.weight.grad.any() for layer in large.h)


def test_training_begins_only_from_a_shape_that_fits(tokenizer: Tokenizer, tmp_path: Path) -> None:
    export(Bloom(ModelConfig(tokenizer.get_vocab_size(), 64, 2, 1)), tokenizer, tmp_path / "deep")
    with pytest.raises(OptionError, match=r"layers=2.*layers=1"):
        train_embedded(tmp_path / "out", SMALL, lambda line: None, start=tmp_path / "deep")


@pytest.mark.parametrize(("has_it", "seconds", "wanted"), [(False, 1.0, "float32"), (True, 1.0, "bfloat16"), (True, 3.0, "float32")])
def test_training_runs_in_bfloat16_where_the_cpu_multiplies_it_faster(
    has_it: bool, seconds: float, wanted: str, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """seconds: a product's in bfloat16, where one in float32 takes 2."""
    monkeypatch.setattr("seqgpt_lab.embedded.train.cpu_multiplies_bf16", lambda: has_it)
    monkeypatch.setattr("seqgpt_lab.embedded.train._product_seconds", lambda dtype: seconds if dtype == torch.bfloat16 else 2.0)
    trainer = Trainer(SMALL, tokenizer, KINDS)
    assert trainer.dtype == getattr(torch, wanted)
    losses = [trainer.train_step()[0] for _ in range(3)]
    monkeypatch.setattr("seqgpt_lab.embedded.train._fast_dtype", lambda device: torch.float32)
    exact = Trainer(SMALL, tokenizer, KINDS)
    exactly = [exact.train_step()[0] for _ in range(3)]
    assert losses == pytest.approx(exactly, rel=0.02) and (losses == exactly) == (wanted == "float32")
