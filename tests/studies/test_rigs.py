"""Machines as YAML: the bundled ones load, and a figure that is missing, absurd or unfounded is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqgpt_lab.errors import OptionError, RigError
from seqgpt_lab.studies.rigs import Rig, rig_names


@pytest.fixture
def figures() -> dict[str, Any]:
    return Rig.load("dual-4090").to_dict()


@pytest.mark.parametrize("name", rig_names())
def test_a_bundled_rig_loads_names_itself_and_survives_being_saved(name: str, tmp_path: Path) -> None:
    rig = Rig.load(name)
    rig.save(tmp_path / "copy.yaml")
    assert rig.name == name and Rig.load(tmp_path / "copy.yaml") == rig


def test_the_card_attains_no_more_than_is_published() -> None:
    rig = Rig.load("dual-4090")
    assert rig.bandwidth <= 1008e9 and rig.flops["fp16"] <= 165.2e12 and rig.memory_bytes <= 24 * 2**30
    assert "bandwidth" in rig.uncertain and not any(basis.startswith("measured") for basis in rig.basis.values())


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(OptionError, match=r"no rig 'dual-4091'; choose .*dual-4090"):
        Rig.load("dual-4091")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bandwidth": 1008}, r"bandwidth is 1008, which no machine has; between 5e\+08 and"),
        ({"bandwidth": "fast"}, "bandwidth is 'fast'"),
        ({"memory_bytes": float("nan")}, "memory_bytes is nan"),
        ({"devices": True}, "devices is True"),
        ({"devices": 0}, "devices is 0"),
        ({"flops": {"fp16": 1e12}}, "a figure for each of fp16, bf16, fp32"),
        ({"flops": {"fp16": 165, "bf16": 1e12, "fp32": 1e12}}, "flops.fp16 is 165"),
        ({"name": 3090}, "quotation marks"),
        ({"kind": "tpu"}, "kind is 'tpu'"),
        ({"overlap": "yes"}, "overlap 'yes'"),
        ({"speed": 3}, r"unknown \['speed'\]"),
        ({"basis": {"bandwidth": "somebody said so"}}, "basis of attention_flops, bandwidth"),
        ({"basis": 3}, "basis is 3; it must be a mapping"),
        ({"expects": 3}, "expects is 3; it must be a mapping"),
        ({"expects": {"cards": 2}}, r"expects has unknown \['cards'\].*known are \['compute_capability'"),
        ({"expects": {"ram_bytes": "64 GB"}}, "expects.ram_bytes is '64 GB'; a number of bytes"),
        ({"expects": {"ram_bytes": True}}, "expects.ram_bytes is True"),
        ({"expects": {"pcie_width": "x16"}}, "expects.pcie_width is 'x16'; a whole number"),
        ({"expects": {"nvlink": "no"}}, "expects.nvlink is 'no'; true or false"),
        ({"expects": {"driver": "newest"}}, "expects.driver is 'newest'; a version"),
        ({"expects": {"disk": None}}, "expects.disk is None; text"),
        ({"layer_seconds": {"fp8": {256: {1: 0.1}}}}, "layer_seconds is .*wanted seconds by dtype, width and tokens"),
        ({"layer_seconds": {"bf16": {256: {}}}}, "layer_seconds is"),
        ({"layer_seconds": {"bf16": {256: {1: -0.1}}}}, "layer_seconds is"),
        ({"layer_seconds": {"bf16": {256: {"few": 0.1}}}}, "layer_seconds is"),
        ({"layer_seconds": {"bf16": {0: {1: 0.1}}}}, "layer_seconds is"),
        ({"layer_seconds": {"bf16": {256: {0: 0.1}}}}, "layer_seconds is"),
        ({"layer_seconds": {"bf16": {float("inf"): {1: 0.1}}}}, "layer_seconds is"),
        ({"layer_seconds": [0.1]}, "layer_seconds is"),
        ({"layer_seconds": {"bf16": {256: [5]}}}, "layer_seconds is"),
        ({"layer_seconds": {"bf16": {256: {1: 0.1}}}}, "basis of layer_seconds must begin"),
        ({"expects": {"shm_bytes": None}}, "expects.shm_bytes is None"),
        ({"expects": {"pcie_width": 1600}}, "expects.pcie_width is 1600; a whole number from 1 to 64"),
    ],
)
def test_a_figure_that_cannot_be_is_named_with_its_limits(figures: dict[str, Any], change: dict[str, Any], told: str) -> None:
    with pytest.raises(RigError, match=f"here.yaml: .*{told}"):
        Rig.from_dict(figures | change, "here.yaml")


def test_a_missing_figure_is_named(figures: dict[str, Any]) -> None:
    del figures["op_seconds"]
    with pytest.raises(RigError, match=r"missing \['op_seconds'\]"):
        Rig.from_dict(figures, "here.yaml")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1", "", "a: 2024-13-45"])
def test_what_is_no_machine_at_all(tmp_path: Path, text: str) -> None:
    path = tmp_path / "machine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RigError, match=r"machine\.yaml"):
        Rig.load(path)
    with pytest.raises(RigError, match="cannot be read"):
        Rig.load(tmp_path / "absent.yaml")


def test_a_figure_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "machine.yaml"
    Rig.load("dual-4090").save(path)
    path.write_text(path.read_text(encoding="utf-8") + "bandwidth: 1.0e+9\n", encoding="utf-8")
    with pytest.raises(RigError, match="this key stands there already"):
        Rig.load(path)


def test_more_than_its_maker_publishes_is_refused(figures: dict[str, Any]) -> None:
    with pytest.raises(RigError, match=r"fp16 is 9\.9e\+14, more than the 3\.303e\+14 that its maker publishes"):
        Rig.from_dict(figures | {"flops": {**figures["flops"], "fp16": 9.9e14}}, "here.yaml")


def test_a_misspelt_basis_is_named(figures: dict[str, Any]) -> None:
    with pytest.raises(RigError, match=r"basis has unknown \['bandwith'\]"):
        Rig.from_dict(figures | {"basis": figures["basis"] | {"bandwith": "measured: here"}}, "here.yaml")


def test_expectations_may_be_written_as_people_write_numbers(figures: dict[str, Any]) -> None:
    rig = Rig.from_dict(figures | {"expects": {"ram_bytes": "64e9", "cuda": 13.0, "driver": 580}}, "here.yaml")
    assert rig.expects == {"ram_bytes": 64e9, "cuda": "13.0", "driver": "580"}
