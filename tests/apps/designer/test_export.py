"""What is exported makes the same result again."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seqgpt_lab.apps.designer.design import Design
from seqgpt_lab.apps.designer.export import to_code, to_json
from seqgpt_lab.apps.designer.session import Session, Trial
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.drafts import Draft, drafts_of
from seqgpt_lab.extraction.extractor import Extractor

OTHERS: dict[str, Any] = {
    **{"max_length": 512, "max_new_tokens": 12, "labels_per_prompt": 2, "window_length": 300, "overlap": 9},
    **{"grounded": True, "drafts": False, "learn": True},
}


@pytest.fixture
def engine(random_model: Path) -> Iterator[Engine]:
    with Engine.load(random_model, dtype="bf16") as engine:
        yield engine


def run(extractor: Extractor, design: Design) -> Trial:
    return Session(extractor, design=design).run(lambda *_: None)


def executed(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "exported.py", "exec"), names)
    return names


@pytest.mark.parametrize("text", ["张伟，35岁\n第二行 ' \" \\ \u2028", "{text}\ud800"])
def test_the_code_run_elsewhere_gives_the_values_that_were_seen(engine: Engine, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    extractor = Extractor(engine, max_new_tokens=12)
    trial = run(extractor, Design(text, drafts_of("姓名，邮箱→e-mail 'x'")))
    names = executed(to_code(trial, extractor))
    assert names["result"].to_record()["values"] == trial.extractions[0].to_dict()
    assert names["result"].raw == trial.extractions[0].raw != ""
    assert names["engine"].dtype == engine.dtype
    assert str(trial.extractions[0].to_dict()) in capsys.readouterr().out


def test_the_code_gives_one_value_where_one_was_asked_for() -> None:
    with Engine.load("tiny", dtype="fp32") as engine:
        extractor = Extractor(engine, grounded=True)
        trial = run(extractor, Design("联系人：张伟、李娜、王芳", (Draft("联系人", multiple=False),)))
    assert executed(to_code(trial, extractor))["result"].to_dict() == trial.extractions[0].to_dict() == {"联系人": "张伟"}


def test_the_code_asks_for_the_labels_with_all_they_say(engine: Engine) -> None:
    labels = (
        Draft("a", "甲", ("乙", "丙"), True, True),
        Draft("b", multiple=False),
        Draft("c", synonyms=("丁",)),
        Draft("d", personal=True),
    )
    extractor = Extractor(engine, max_new_tokens=1)
    trial = run(extractor, Design("张伟", labels, name="所有"))
    code = to_code(trial, extractor)
    assert executed(code)["labels"] == trial.design.label_set()
    assert "Label('b', multiple=False)" in code and "Extractor(engine, max_new_tokens=1)" in code


def test_the_code_makes_the_extractor_with_every_option_that_was_chosen(engine: Engine) -> None:
    assert OTHERS.keys() == inspect.signature(Extractor).parameters.keys() - {"engine"}
    extractor = Extractor(engine, **OTHERS)
    code = to_code(run(extractor, Design("张伟", (Draft("姓名"),))), extractor)
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Extractor"]
    assert [{one.arg: ast.literal_eval(one.value) for one in call.keywords} for call in calls] == [OTHERS]


def test_there_is_no_code_for_what_nobody_knows_how_to_make(session: Session) -> None:
    with pytest.raises(OptionError, match="what was asked is a KnownValues"):
        to_code(session.run(lambda *_: None), session.extractor)


def test_a_result_holds_both_label_sets_where_both_were_asked(session: Session) -> None:
    session.relabel("公司", rival=True)
    told = to_json(session.run(lambda *_: None, with_rival=True))
    assert '"公司": "云智科技"' in told.split('"rival"')[1] and '"姓名": "张伟"' in told.split('"rival"')[0]
