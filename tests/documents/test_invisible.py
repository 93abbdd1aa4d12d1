"""Signs that nobody sees, against what the regex package has of Unicode's properties."""

from __future__ import annotations

import re
import sys

import pytest

from seqgpt_lab.documents.invisible import DIRECTION, INVISIBLE


@pytest.mark.parametrize(
    ("signs", "named"), [(INVISIBLE, "Default_Ignorable_Code_Point"), (DIRECTION, "Bidi_Control")], ids=["all", "direction"]
)
def test_the_signs_are_those_that_unicode_names(signs: str, named: str) -> None:
    regex = pytest.importorskip("regex")
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert re.findall(f"[{signs}]", everything) == regex.findall(rf"\p{{{named}}}", everything)
