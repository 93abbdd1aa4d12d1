"""What tests of readers have in common: a text that offsets can go wrong in, files, and what a reading complains of."""

from __future__ import annotations

import json
from pathlib import Path

from seqgpt_lab.documents.document import Entity
from seqgpt_lab.documents.reading import Reading

TEXT = "😀张伟，35岁"
NAME = Entity("姓名", 1, 3, "张伟")


def problems(reading: Reading) -> list[str]:
    return [str(problem) for problem in reading.problems]


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path
