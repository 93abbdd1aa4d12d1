"""Writes integers in Chinese numerals, everyday and financial. Draws nothing."""

from __future__ import annotations

EVERYDAY = "零一二三四五六七八九十百千"
FINANCIAL = "零壹贰叁肆伍陆柒捌玖拾佰仟"


def numeral(number: int, signs: str = EVERYDAY) -> str:
    """Chinese numeral of 0 <= number < 10**12; `signs` is the ten digits followed by the signs of ten, hundred and thousand."""
    if number == 0:
        return signs[0]
    text, gap = "", False
    for power, unit in ((10**8, "亿"), (10**4, "万"), (1, "")):
        group, number = divmod(number, power)
        if group == 0:
            gap = bool(text)
            continue
        text += signs[0] if text and (gap or group < 1000) else ""
        text += _group(group, signs) + unit
        gap = False
    shortened = signs is EVERYDAY and text.startswith("一十")
    return text[1:] if shortened else text


def digits(text: str) -> str:
    """ASCII digits read one by one, zero as a circle: `2024` gives `二〇二四`; other characters stay."""
    return text.translate(str.maketrans("0123456789", "〇一二三四五六七八九"))


def _group(number: int, signs: str) -> str:
    text = ""
    for power, unit in ((1000, signs[12]), (100, signs[11]), (10, signs[10]), (1, "")):
        digit = number // power % 10
        if digit:
            text += signs[digit] + unit
        elif text and not text.endswith(signs[0]):
            text += signs[0]
    return text.rstrip(signs[0])
