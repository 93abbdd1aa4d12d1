from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqgpt_lab.apps.designer.samples import sample_collections
from seqgpt_lab.documents import Document, Entity, write_jsonl
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import DocumentError, LabelError, OptionError
from seqgpt_lab.files import sha256_of
from seqgpt_lab.studies.sources import about_sources, find_source, find_sources, first, record_inputs, source_table
from tests.checkpoints import write_random_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of documents and a label set for each."""
    for kind, text, label in (("resume", "张伟，35岁", "姓名"), ("notice", "周五开会", "日期")):
        write_jsonl(tmp_path / f"{kind}.jsonl", [Document("d", text, (Entity(label, 0, 2, text[:2]),)), Document("e", "无")])
        (tmp_path / f"{kind}.yaml").write_text(f"name: {kind}\nfields:\n- field: {label}\n- field: 地点\n", encoding="utf-8")
    return tmp_path


def test_own_files_take_the_label_set_of_their_kind_or_the_one_for_all(folder: Path) -> None:
    files = [folder / "resume.jsonl", str(folder / "notice.jsonl")]
    assert [(source.kind, source.labels.name) for source in find_sources(files, labels=folder)] == [
        ("resume", "resume.yaml"),
        ("notice", "notice.yaml"),
    ]
    for_all = find_sources(files, labels=folder / "notice.yaml")
    assert {source.labels for source in for_all} == {folder / "notice.yaml"}


def test_all_bundled_kinds_are_found_with_their_label_sets() -> None:
    sources = find_sources(split="test")
    assert len(sources) == 8 and [source.kind for source in sources] == sorted(source.kind for source in sources)
    assert all(source.documents.name == f"{source.kind}.test.jsonl" and source.labels.stem == source.kind for source in sources)
    assert [source.kind for source in find_sources(kinds=["resume", "invoice"], split="dev")] == ["resume", "invoice"]


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"kinds": ["resumé"]}, DocumentError, "resumé.*invoice"),
        ({"split": "train"}, DocumentError, r"'train'; there are \['dev', 'test'\]"),
        ({"documents": ["nowhere.jsonl"]}, DocumentError, r"nowhere\.jsonl"),
        ({"documents": ["a.jsonl"], "kinds": ["resume"]}, OptionError, "not both"),
        ({"kinds": ["resume", "resume"]}, OptionError, "more than once"),
        ({"kinds": ["resume"], "labels": "nowhere"}, LabelError, r"nowhere/resume\.yaml"),
    ],
)
def test_what_is_missing_is_named(arguments: dict[str, list[str]], error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        find_sources(**arguments)  # type: ignore[arg-type]


def test_the_table_and_the_sentence_count_what_is_used(folder: Path) -> None:
    sources = find_sources([folder / "resume.jsonl", folder / "notice.jsonl"], labels=folder)
    frame = source_table(sources)
    assert frame[["kind", "documents", "gold values", "fields"]].values.tolist() == [
        ["resume", 2, 1, "姓名、地点"],
        ["notice", 2, 1, "日期、地点"],
    ]
    assert str(about_sources(sources)).startswith("2 kinds of documents, 4 documents with 2 gold values")
    assert str(about_sources(sources, 1)).startswith(
        "2 kinds of documents, 2 of 4 documents (at most the first 1 of each kind), with 2 gold values"
    )
    assert str(about_sources(sources, 2)) == str(about_sources(sources)) and "the first 1 of 2 documents" in str(
        about_sources(sources[:1], 1)
    )
    assert (
        "fewest in" in str(about_sources(sources))
        and str(about_sources(sources[:1])) == "1 kind of documents, 2 documents with 1 gold value."
    )
    assert source_table(sources, 1)[["documents", "gold values"]].values.tolist() == [[1, 1], [1, 1]]
    with pytest.raises(OptionError, match="limit is -1"):
        about_sources(sources, -1)


def test_gold_that_no_field_asks_for_is_not_what_a_score_rests_on(folder: Path) -> None:
    sources = find_sources([folder / "resume.jsonl"], labels=folder / "notice.yaml")
    assert source_table(sources)["gold values"].tolist() == [0] and "with 0 gold values" in str(about_sources(sources))
    (whole,) = find_sources([folder / "resume.jsonl"], labels=folder)
    assert source_table([whole], asked=["地点"])[["gold values", "fields"]].values.tolist() == [[0, "地点"]]
    assert "with 0 gold values" in str(about_sources([whole], asked=["地点"]))


def test_a_page_says_which_documents_a_program_made(folder: Path) -> None:
    own, resume, invoice = *find_sources([folder / "notice.jsonl"], labels=folder), *find_sources(kinds=["resume", "invoice"])
    assert "program" not in str(about_sources([own]))
    assert "). These documents come with the lab: a program made them" in str(about_sources([resume, invoice]))
    assert "). The documents of resume, invoice come with the lab: a program made them" in str(about_sources([resume, own, invoice]))
    copied = folder / "resume.jsonl"
    copied.unlink()
    copied.symlink_to(resume.documents)
    assert "a program made them" in str(about_sources(find_sources([copied])))


def test_a_limit_takes_the_first_documents_and_is_refused_by_its_name_below_0() -> None:
    documents = [Document(name, "无") for name in "abc"]
    assert [first(documents, limit) for limit in (0, 2, 5)] == [documents, documents[:2], documents]
    with pytest.raises(OptionError, match=r"dev_limit is -1; it must be 0 \(all documents\) or more"):
        first(documents, -1, "dev_limit")


def test_columns_of_a_table_called_as_fields_hold_gold(folder: Path, tmp_path: Path) -> None:
    (folder / "resume.csv").write_text("text,姓名,备注\n张伟在云智,张伟,x\n李强住在北京,李强,\n", encoding="utf-8")
    (folder / "resume.yaml").write_text("fields: [{field: 姓名, personal: true}]", encoding="utf-8")
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    sources = find_sources([folder / "resume.csv"], labels=folder, run_dir=run_dir)
    assert [one.gold for one in sources[0].load()] == [(Entity("姓名", 0, 2, "张伟"),), (Entity("姓名", 0, 2, "李强"),)]
    assert source_table(sources)["gold values"].tolist() == [2] and "2 gold values" in str(about_sources(sources))
    assert json.loads((run_dir / "personal.json").read_text(encoding="utf-8")) == {"姓名": ["张伟", "李强"]}


def test_a_field_without_a_column_is_refused_unless_some_gold_will_do(folder: Path, tmp_path: Path) -> None:
    (folder / "resume.csv").write_text("text,姓名,地方\n李强住在北京,李强,北京\n", encoding="utf-8")
    (folder / "resume.yaml").write_text("fields: [{field: 姓名, personal: true}, {field: 地点}]", encoding="utf-8")
    (source,) = find_sources([folder / "resume.csv"], labels=folder, run_dir=tmp_path)
    with pytest.raises(DocumentError, match=r"resume\.csv has no column of gold values for 地点; there are ⟪text, 姓名, 地方⟫"):
        source.load()
    assert json.loads((tmp_path / "personal.json").read_text(encoding="utf-8")) == {"姓名": ["李强"]}
    (samples,) = sample_collections([folder / "resume.csv"], labels=folder)
    assert samples.documents[0].gold == (Entity("姓名", 0, 2, "李强"),)


def test_inputs_name_every_file_that_was_read(folder: Path, tmp_path: Path) -> None:
    model = write_random_checkpoint(folder / "model")
    sources = find_sources([folder / "resume.jsonl", folder / "notice.jsonl"], labels=folder / "notice.yaml")
    with Engine.load(model, dtype="fp32", device="cpu") as engine:
        record_inputs("", engine, sources)
        record_inputs(tmp_path, engine, sources, [folder / "resume.yaml"])
    inputs = json.loads((tmp_path / "inputs.json").read_text(encoding="utf-8"))
    assert (inputs["model"]["directory"], inputs["model"]["dtype"]) == (str(model), "float32")
    assert inputs["model"]["sha256"]["model.safetensors"] == sha256_of(model / "model.safetensors")
    assert set(inputs["model"]["sha256"]) == {"config.json", "model.safetensors", "tokenizer.json"}
    assert {entry["path"]: entry["sha256"] for entry in inputs["data"]} == {
        str(folder / name): sha256_of(folder / name) for name in ("resume.jsonl", "notice.jsonl", "notice.yaml", "resume.yaml")
    }


def test_personal_gold_is_noted_when_sources_are_found_whatever_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    (folder / "resume.yaml").write_text("name: resume\nfields: [{field: 姓名, personal: true}]", encoding="utf-8")
    with open(folder / "resume.jsonl", "a", encoding="utf-8") as stream:
        stream.write("{no document\n")
    (folder / "notice.yaml").write_text("fields: [{field: 电话, personal: true}]", encoding="utf-8")
    (folder / "notice.jsonl").rename(folder / "notice.pdf")
    (folder / "broken.jsonl").write_text('{"text": "x"}')
    (folder / "broken.yaml").write_text("[")
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    find_sources([folder / name for name in ("broken.jsonl", "notice.pdf", "resume.jsonl")], labels=folder, run_dir=run_dir)
    assert json.loads((run_dir / "personal.json").read_text(encoding="utf-8")) == {"电话": [], "姓名": ["张伟"]}


def test_a_file_comes_before_the_bundled_kind_and_gives_one_source(folder: Path) -> None:
    mine = find_source(str(folder / "notice.jsonl"), "resume", "dev", folder)
    assert mine == find_sources([folder / "notice.jsonl"], labels=folder)[0]
    assert find_source("", "resume", "dev") == find_sources(kinds=["resume"], split="dev")[0]


def test_a_value_that_is_marked_twice_counts_once_as_it_does_in_scores(folder: Path) -> None:
    mark = Entity("姓名", 0, 2, "张伟")
    write_jsonl(
        folder / "resume.jsonl", [Document("d", "张伟，张伟", (mark, mark, Entity("姓名", 3, 5, "张伟"), Entity("姓名", 0, 1, "张")))]
    )
    sources = find_sources([folder / "resume.jsonl"], labels=folder)
    assert source_table(sources)["gold values"].tolist() == [3] and "with 3 gold values" in str(about_sources(sources))
