"""What is exported makes the same result again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqgpt_lab.apps.designer.design import Design
from seqgpt_lab.apps.designer.export import Recipe, to_code, to_json
from seqgpt_lab.apps.designer.session import Session
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.extraction.drafts import drafts_of
from seqgpt_lab.extraction.extractor import Extractor


@pytest.mark.parametrize("text", ["张伟，35岁\n第二行 ' \" \\ \u2028", "{text}\ud800"])
def test_the_code_run_elsewhere_gives_the_values_that_were_seen(random_model: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe(str(random_model), "fp32", (("max_new_tokens", 12),))
    with Engine.load(random_model, dtype="fp32") as engine:
        session = Session(Extractor(engine, max_new_tokens=12), design=Design(text, drafts_of("姓名，邮箱→e-mail 'x'")))
        trial = session.run(lambda *_: None)
    names: dict[str, Any] = {}
    exec(compile(to_code(trial, recipe), "exported.py", "exec"), names)
    assert names["result"].to_record()["values"] == trial.extractions[0].to_dict()
    assert names["result"].raw == trial.extractions[0].raw != ""
    assert str(trial.extractions[0].to_dict()) in capsys.readouterr().out


def test_a_result_holds_both_label_sets_where_both_were_asked(session: Session) -> None:
    session.relabel("公司", rival=True)
    told = to_json(session.run(lambda *_: None, with_rival=True))
    assert '"公司": "云智科技"' in told.split('"rival"')[1] and '"姓名": "张伟"' in told.split('"rival"')[0]
