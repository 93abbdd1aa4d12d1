"""Makes amounts: money, prices, shares, counts and weights. Knows nothing about documents."""

from __future__ import annotations

from random import Random

from seqgpt_lab.embedded.corpus.kind import Split
from seqgpt_lab.embedded.corpus.numerals import FINANCIAL, numeral

_UNITS = (
    "件",
    "台",
    "套",
    "箱",
    "个",
    "吨",
    "公斤",
    "kg",
    "平方米",
    "米",
    "人",
    "天",
    "小时",
    "份",
    "瓶",
    "盒",
    "斤",
    "张",
    "支",
    "立方米",
    "本",
    "桶",
    "辆",
    "只",
    "次",
    "月",
    "袋",
)
_COUNTS = (
    "台",
    "件",
    "套",
    "箱",
    "个",
    "吨",
    "份",
    "盒",
    "瓶",
    "张",
    "支",
    "本",
    "桶",
    "辆",
    "袋",
    "只",
    "批",
    "组",
    "卷",
    "块",
    "双",
    "把",
    "根",
    "平方米",
    "米",
)


def money(random: Random, split: Split) -> str:
    """A sum, always with its unit or currency sign; about 1 in 10 in words."""
    kind = random.random()
    if kind < 0.10:
        return _in_words(random)
    if kind < 0.42:
        return _in_myriads(random)
    return _in_figures(random)


def _in_words(random: Random) -> str:
    number = _round(random)
    text = numeral(number, FINANCIAL)
    cents = f"{FINANCIAL[random.randint(1, 9)]}角{FINANCIAL[random.randint(1, 9)]}分" if random.random() < 0.1 else ""
    if random.random() < 0.15:
        return numeral(number) + random.choice(("元", "元", "块钱"))
    return (
        random.choice(("人民币", "人民币", "", "人民币（大写）"))
        + text
        + random.choice(("元", "圆"))
        + (cents or random.choice(("整", "整", "正")))
    )


def _round(random: Random) -> int:
    """A whole sum with one to four leading figures, from 10 to below 10**9."""
    return random.randint(1, 10 ** random.choice((1, 2, 2, 3, 4)) - 1) * int(10 ** random.choice((1, 2, 3, 3, 4, 4, 5)))


def _in_myriads(random: Random) -> str:
    whole = random.choice((random.randint(1, 99), random.randint(1, 999), random.randint(1, 50) * 10, random.randint(1, 9999)))
    part = random.choice(("", "", "", f".{random.randint(1, 9)}", f".{random.randint(1, 99):02d}"))
    unit = random.choice(("万元", "万元", "万元", "万元", "万", "亿元", "万元人民币", "万美元", "千元", "万欧元"))
    head = random.choice(("", "", "", "", "", "人民币", "RMB "))
    spaced = " " if random.random() < 0.05 else ""
    if random.random() < 0.06:
        return numeral(random.randint(1, 99)) + random.choice(("万元", "亿元", "万"))
    return f"{head}{whole}{part}{spaced}{unit}" if not (head and "人民币" in unit) else f"{whole}{part}{unit}"


def _in_figures(random: Random) -> str:
    number = random.choice((random.randint(1, 999), random.randint(100, 99999), _round(random), random.randint(1000, 9999999)))
    cents = random.choice(("", "", "", ".00", f".{random.randrange(100):02d}", f".{random.randrange(10)}"))
    plain, commas = f"{number}{cents}", f"{number:,}{cents}"
    forms = (
        f"{plain}元",
        f"{plain}元",
        f"{plain}元",
        f"{plain}元",
        f"{commas}元",
        f"{commas}元",
        f"￥{commas}",
        f"￥{plain}",
        f"¥{commas}",
        f"¥{plain}",
        f"￥{commas}元",
        f"人民币{commas}元",
        f"人民币{plain}元",
        f"RMB {commas}",
        f"{plain}元整",
        f"{plain} 元",
        random.choice(
            (
                f"${commas}",
                f"USD {commas}",
                f"{commas}美元",
                f"{plain}欧元",
                f"€{commas}",
                f"HK${commas}",
                f"{plain}港元",
                f"{number}块",
                f"CNY {commas}",
                f"{number}日元",
            )
        ),
    )
    return random.choice(forms)


def unit_price(random: Random, split: Split) -> str:
    """A price for one unit."""
    number = f"{random.randint(1, 999)}{random.choice(('', '', '', '.5', '.00', f'.{random.randrange(100):02d}'))}"
    if random.random() < 0.2:
        number = f"{random.randint(1000, 29999):,}"
    unit = random.choice(_UNITS)
    forms = (
        f"{number}元/{unit}",
        f"{number}元/{unit}",
        f"{number}元/{unit}",
        f"￥{number}/{unit}",
        f"每{unit}{number}元",
        f"{number}元每{unit}",
        f"¥{number}/{unit}",
        f"{number} 元/{unit}",
    )
    return random.choice(forms)


def percent(random: Random, split: Split) -> str:
    """A share or rate: percent, per mille, or in words."""
    whole = random.choice((random.randint(1, 100), random.randint(1, 20) * 5))
    decimal = f"{random.randint(0, 24)}.{random.randrange(100):02d}"
    word = random.randint(1, 99)
    forms = (
        f"{whole}%",
        f"{whole}%",
        f"{whole}%",
        f"{whole}%",
        f"{decimal}%",
        f"{decimal}%",
        f"{random.randint(1, 30)}.{random.randint(1, 9)}%",
        f"百分之{numeral(word)}",
        f"{random.randint(1, 9)}‰",
        f"万分之{numeral(random.randint(1, 9))}",
        f"千分之{numeral(random.randint(1, 9))}",
        f"{whole}％",
        random.choice(
            (f"{numeral(random.randint(1, 9))}成", f"0.{random.randint(1, 99):02d}%", f"{whole} %", f"0.{random.randint(1, 9)}‰")
        ),
    )
    return random.choice(forms)


def quantity(random: Random, split: Split) -> str:
    """A count with its measure word."""
    number = random.choice((random.randint(1, 20), random.randint(1, 300), random.randint(1, 100) * 10, random.randint(100, 9999)))
    unit = random.choice(_COUNTS)
    small = random.randint(1, 20)
    spelt = "两" if small == 2 else numeral(small)
    return random.choice(
        (
            f"{number}{unit}",
            f"{number}{unit}",
            f"{number}{unit}",
            f"{number}{unit}",
            f"{number:,}{unit}",
            f"{number} {unit}",
            f"{spelt}{unit}",
            f"{random.randint(1, 30) * 10}余{unit}",
        )
    )


def weight(random: Random, split: Split) -> str:
    """A weight with its unit."""
    number = random.choice(
        (
            str(random.randint(1, 999)),
            f"{random.randint(0, 60)}.{random.randint(1, 9)}",
            f"{random.randint(0, 99)}.{random.randint(1, 99):02d}",
        )
    )
    return (
        f"{number}{random.choice(('', '', '', ' '))}{random.choice(('kg', 'kg', 'kg', '公斤', '千克', '吨', '斤', 'KG', '克', 'g', 't'))}"
    )
