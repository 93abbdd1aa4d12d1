"""`seqgpt-lab lint`: what it prints and writes, and its exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from seqgpt_lab.extraction.labels import LabelSet
from tests.apps.conftest import Invoke


def test_good_labels_end_with_zero_and_faults_with_one(invoke: Invoke) -> None:
    good, bad = invoke("lint", "姓名,年龄"), invoke("lint", "时间,事发时间")
    assert (good.exit_code, good.stdout) == (0, "2 labels, no faults\n")
    assert bad.exit_code == 1
    assert bad.stdout.splitlines()[0].startswith("1. 时间: near-duplicate: ") and bad.stdout.splitlines()[1] == "   fix: remove it"
    assert invoke("lint", "金额", "--ignore", "unit").exit_code == 0
    assert invoke("lint", " ").exit_code == 1


def test_json_names_labels_and_findings(invoke: Invoke) -> None:
    record = json.loads(invoke("lint", "邮箱->email,关键信息", "--json").stdout)
    assert record["labels"] == ["邮箱→email", "关键信息"]
    assert [(one["code"], one["place"], one["fixed"]) for one in record["findings"]] == [("vague", 1, [])]


def test_a_file_that_no_label_set_can_be_made_of_is_linted_and_mended(invoke: Invoke) -> None:
    Path("set.yaml").write_text("name: x\nfields: [姓名, 姓名, {field: 公司, phrase: '单位,公司', personal: true}]\n", encoding="utf-8")
    result = invoke("lint", "set.yaml", "--fixed", "fixed.yaml")
    assert result.exit_code == 1 and "duplicate" in result.stdout and "separator" in result.stdout
    labels = LabelSet.load("fixed.yaml")
    assert (labels.name, labels.names, labels.phrases) == ("x", ("姓名", "公司"), ("姓名", "单位"))
    assert labels.labels[1].personal


def test_unknown_keys_and_unknown_codes_are_wrong_use(invoke: Invoke) -> None:
    Path("set.yaml").write_text("fields: [{field: 姓名, phrases: x}]\n", encoding="utf-8")
    result = invoke("lint", "set.yaml")
    assert result.exit_code == 2 and "unknown keys ['phrases']" in result.stderr
    assert invoke("lint", "姓名", "--ignore", "spelling").exit_code == 2


def test_the_labels_are_not_replaced_by_their_mended_form(invoke: Invoke) -> None:
    Path("set.yaml").write_text("fields: [姓名, 姓名]  # mine\n", encoding="utf-8")
    result = invoke("lint", "set.yaml", "--fixed", "set.yaml")
    assert (result.exit_code, result.stdout) == (2, "") and "--fixed set.yaml would replace set.yaml" in result.stderr
    assert "# mine" in Path("set.yaml").read_text(encoding="utf-8")


def test_mended_labels_go_into_a_pipe_and_through_a_link(invoke: Invoke) -> None:
    os.mkfifo("pipe")
    Path("link.yaml").symlink_to("target.yaml")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        invoke("lint", "姓名,姓名", "--fixed", "pipe")
        assert "姓名" in os.read(reader, 1000).decode()
    finally:
        os.close(reader)
    invoke("lint", "姓名,姓名", "--fixed", "link.yaml")
    assert Path("pipe").is_fifo() and Path("link.yaml").is_symlink()
    assert LabelSet.load("target.yaml").names == ("姓名",)


@pytest.mark.parametrize("path", ["", ".", "none/x.yaml"])
def test_a_place_where_no_file_can_be_is_told_before_anything_else(invoke: Invoke, path: str) -> None:
    result = invoke("lint", "姓名", "--fixed", path)
    assert (result.exit_code, result.stdout) == (2, "") and result.stderr.startswith("error: --fixed ") and ".part" not in result.stderr


def test_control_characters_reach_no_terminal(invoke: Invoke) -> None:
    assert "\x1b" not in invoke("lint", "姓\x1b[31m名").stdout
