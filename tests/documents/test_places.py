"""Where a value stands as a word of its own: not inside a longer word or number, however that is written."""

from __future__ import annotations

import pytest

from seqgpt_lab.documents.places import occurrences, stands_alone


@pytest.mark.parametrize(
    ("text", "value", "alone"),
    [
        ("价格1,280元，运费280元", "280", [11]),
        ("总价1,280,000元，定金280元和1元", "280", [15]),
        ("利率3.5%，期限5年", "5", [9]),
        ("利率3.5%，期限3年", "3", [9]),
        ("电话１３８，年龄３８", "３８", [8]),
        ("ＡＢＣ和ＢＣ", "ＢＣ", [4]),
        ("共1,280.50元", "1,280.50", [1]),
        ("编号1,2,3", "2", [4]),
        ("2024.5.9签订", "5", [5]),
        ("服务器192.168.1.1", "168", [7]),
        ("共3.", "3", [1]),
        ("1.2024年签订", "2024", [2]),
        ("10.2024 年签订", "2024", [3]),
        ("1.2024-05-09签订", "2024-05-09", [2]),
        ("2.1999/5/9签订", "1999", [2]),
        ("利率1.2024%，期限1.5年", "5", []),
        ("利率1.2024%", "2024", []),
        ("从1.2024-05到3", "2024", []),
        ("13800001111,280", "280", [12]),
        ("10,2800", "2800", [3]),
        ("Cafe\u0301，Cafe", "Cafe", [6]),
    ],
)
def test_a_part_of_a_longer_word_or_number_does_not_stand_alone(text: str, value: str, alone: list[int]) -> None:
    assert [place[0] for place in occurrences(text, value) if stands_alone(text, place)] == alone
