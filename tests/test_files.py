from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from seqgpt_lab.files import sha256_of, write_atomically, write_json


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "record.json"
    write_atomically(target, "old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, "new")
    assert target.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_json_keeps_chinese_readable_and_survives_a_lone_surrogate(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "张伟"})
    assert "张伟" in (tmp_path / "a.json").read_text(encoding="utf-8")
    write_json(tmp_path / "b.json", {"name": "张\ud800"})
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8")) == {"name": "张\ud800"}


def test_json_refuses_what_json_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"f1": float("nan")})
    assert not list(tmp_path.iterdir())


def test_the_fingerprint_is_the_standard_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # The one-block example of FIPS 180-4's test vectors.
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
