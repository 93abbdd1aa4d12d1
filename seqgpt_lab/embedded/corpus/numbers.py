"""Makes numbers that identify something: phones, papers, accounts, orders. Every check digit of a person's or a card's number is wrong."""

from __future__ import annotations

import datetime
from random import Random
from string import ascii_uppercase, digits

from seqgpt_lab.embedded.corpus import pools
from seqgpt_lab.embedded.corpus.disjoint import open_class
from seqgpt_lab.embedded.corpus.kind import Split
from seqgpt_lab.embedded.corpus.people import domain

# GB 11643-1999: weights of the first 17 digits, and the check sign of each sum modulo 11.
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10X98765432"
# GB 32100-2015: the alphabet leaves out I, O, S, V, Z; weight i is 3**i modulo 31.
_CREDIT_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ID_AREAS = (
    "110101",
    "310104",
    "440305",
    "330106",
    "320102",
    "510107",
    "420106",
    "610113",
    "370202",
    "350203",
    "230103",
    "650102",
    "540102",
    "150102",
    "430102",
    "410105",
)
_LAND_AREAS = (
    "010",
    "021",
    "022",
    "023",
    "020",
    "024",
    "025",
    "027",
    "028",
    "029",
    "0755",
    "0571",
    "0512",
    "0574",
    "0532",
    "0731",
    "0371",
    "0591",
    "0592",
    "0771",
    "0871",
    "0851",
    "0991",
    "0411",
)
_PREFIXES = ("HT", "HT", "CG", "XS", "ZL", "FW", "JS", "XY", "LD", "GC", "JK", "DK", "WT", "SB", "HTBH", "PO", "CT", "ZB", "BX")
_PLATES = "京沪津渝粤浙苏鲁豫冀晋陕川鄂湘皖闽赣桂琼云贵辽吉黑蒙宁甘青藏新"
_COURIER_CODES = ("SF", "YT", "ZTO", "STO", "YD", "JD", "EMS", "DB", "JT", "YZ", "JDVA", "LP", "TT")
_AIRLINES = ("CA", "MU", "CZ", "HU", "ZH", "3U", "MF", "FM", "SC", "9C", "HO", "GS", "KN", "JD", "UA", "CX")


def id_check(first: str) -> str:
    """The check sign that GB 11643-1999 gives to the first 17 digits of an identity number."""
    return _ID_CHECKS[sum(int(digit) * weight for digit, weight in zip(first, _ID_WEIGHTS, strict=True)) % 11]


def passes_luhn(number: str) -> bool:
    """Whether a string of digits passes the Luhn test (ISO/IEC 7812-1)."""
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def credit_check(first: str) -> str:
    """The check sign that GB 32100-2015 gives to the first 17 signs of an organisation's credit code."""
    total = sum(_CREDIT_SIGNS.index(sign) * pow(3, place, 31) for place, sign in enumerate(first))
    return _CREDIT_SIGNS[-total % 31]


def _figures(random: Random, length: int, signs: str = digits) -> str:
    return "".join(random.choices(signs, k=length))


@open_class
def mobile(random: Random, split: Split) -> str:
    """A mobile number of 11 digits; 1 in 5 masked, grouped or with the country code."""
    number = "1" + random.choice("3456789") + _figures(random, 9)
    if random.random() < 0.8:
        return number
    head, middle, tail = number[:3], number[3:7], number[7:]
    return random.choice(
        (
            f"{head}****{tail}",
            f"{head} {middle} {tail}",
            f"{head}-{middle}-{tail}",
            f"+86 {number}",
            f"+86-{number}",
            f"+86 {head} {middle} {tail}",
            f"(+86){number}",
        )
    )


@open_class
def landline(random: Random, split: Split) -> str:
    """A fixed line with area code, sometimes with an extension, or a 400 number."""
    area = random.choice(_LAND_AREAS)
    local = random.choice("2345678") + _figures(random, 7)
    plain = f"{area}-{local}"
    forms = (
        plain,
        plain,
        plain,
        plain,
        f"({area}){local}",
        f"（{area}）{local}",
        f"{area} {local}",
        f"{plain}-{random.randint(1, 8999)}",
        f"{plain}转{random.randint(100, 8999)}",
        f"{area}{local}",
    )
    return random.choice((*forms, f"400-{_figures(random, 3)}-{_figures(random, 4)}", f"+86-{area[1:]}-{local}"))


@open_class
def id_number(random: Random, split: Split) -> str:
    """An identity number of 18 signs whose check sign is wrong, so that it is nobody's."""
    born = datetime.date(1945, 1, 1) + datetime.timedelta(days=random.randrange(25000))
    first = f"{random.choice(_ID_AREAS)}{born:%Y%m%d}{_figures(random, 3)}"
    return first + random.choice(_ID_CHECKS.replace(id_check(first), ""))


@open_class
def bank_card(random: Random, split: Split) -> str:
    """A card number of 16 to 19 digits that fails the Luhn test; 1 in 4 in groups of four."""
    number = random.choice(("6222", "6228", "6217", "6214", "6225", "6212", "4", "5")) + _figures(random, 11)
    number += _figures(random, random.choice((16, 19, 19)) - len(number))
    if passes_luhn(number):
        number = number[:-1] + str((int(number[-1]) + random.randint(1, 9)) % 10)
    if random.random() < 0.25:
        return " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    return number


@open_class
def tax_number(random: Random, split: Split) -> str:
    """An organisation's credit code of 18 capitals and digits whose check sign is wrong."""
    first = random.choice(("91", "91", "91", "12", "52", "92")) + random.choice(_ID_AREAS) + _figures(random, 9, _CREDIT_SIGNS)
    return first + random.choice(_CREDIT_SIGNS.replace(credit_check(first), ""))


def _day_code(random: Random) -> str:
    return f"{random.randint(2012, 2030)}{random.randint(1, 12):02d}{random.randint(1, 28):02d}"


@open_class
def contract_number(random: Random, split: Split) -> str:
    """A contract's number: letters, year, serial, in many house styles."""
    prefix, year, day = random.choice(_PREFIXES), random.randint(2012, 2030), _day_code(random)
    serial, letters = _figures(random, random.choice((3, 3, 4, 5))), _figures(random, 2, ascii_uppercase)
    short = "".join(random.sample(pools.BRAND_SYLLABLES, 2))
    forms = (
        f"{prefix}-{year}-{serial}",
        f"{prefix}-{year}-{serial}",
        f"{prefix}{day}{serial}",
        f"{prefix}-{day}-{serial}",
        f"{letters}{prefix}-{year}-{serial}",
        f"{prefix}{year}{serial}",
        f"{letters}-{prefix}-{serial}",
        f"{short}字第{serial}号",
        f"{short}合字[{year}]第{serial}号",
        f"（{year}）{short}字第{serial}号",
        f"{prefix}/{year}/{serial}",
        f"No.{day}{serial}",
        f"{year}-{letters}-{serial}",
        f"{letters}{_figures(random, 8)}",
        f"{prefix}_{year}_{serial}",
    )
    return random.choice(forms)


@open_class
def invoice_code(random: Random, split: Split) -> str:
    """An invoice code of 10 or 12 digits."""
    return _figures(random, 1, "012345") + _figures(random, random.choice((9, 11)))


@open_class
def invoice_number(random: Random, split: Split) -> str:
    """An invoice number of 8 digits, or 20 for all-electronic invoices; sometimes with No."""
    number = _figures(random, random.choice((8, 8, 8, 20)))
    return random.choice(("", "", "", "", "", "", "No.", "№")) + number


@open_class
def order_number(random: Random, split: Split) -> str:
    """An order's number."""
    day = _day_code(random)
    prefix = random.choice(("DD", "PO", "SO", "ORD", "NO", "JD", "TB", "XD", "DH", "OD"))
    forms = (
        f"{prefix}{day}{_figures(random, 4)}",
        f"{prefix}-{day}-{_figures(random, 3)}",
        day + _figures(random, random.choice((6, 8, 10))),
        _figures(random, 1, "123456789") + _figures(random, 11),
    )
    return random.choice(
        (
            *forms,
            f"{prefix}{_figures(random, 8)}",
            f"{_figures(random, 2, ascii_uppercase)}{_figures(random, 10)}",
            f"#{_figures(random, 6)}",
            f"{prefix}-{_figures(random, 6)}",
        )
    )


@open_class
def tracking_number(random: Random, split: Split) -> str:
    """A parcel's number, with or without the carrier's letters."""
    code = random.choice(_COURIER_CODES)
    return random.choice(
        (
            f"{code}{_figures(random, random.choice((10, 12, 13)))}",
            f"{code}{_figures(random, 13)}",
            _figures(random, 1, "1234567") + _figures(random, random.choice((11, 12, 14))),
            f"E{_figures(random, 1, 'ABCM')}{_figures(random, 9)}CN",
        )
    )


@open_class
def plate_number(random: Random, split: Split) -> str:
    """A car's plate; some with a dot, a space, or the 6 signs of new-energy cars."""
    head, signs = random.choice(_PLATES) + random.choice("ABCDEFGHJK"), "ABCDEFGHJKLMNPQRSTUVWXYZ"
    tail = random.choice(
        (
            _figures(random, 5),
            _figures(random, 1, signs) + _figures(random, 4),
            _figures(random, 2) + _figures(random, 1, signs) + _figures(random, 2),
            random.choice("DF") + _figures(random, 5),
        )
    )
    return head + random.choice(("", "", "", "·", " ", "-")) + tail


@open_class
def flight_number(random: Random, split: Split) -> str:
    """A flight."""
    return random.choice(_AIRLINES) + random.choice(("", "", "", " ")) + str(random.randint(100, 9999))


@open_class
def medical_card(random: Random, split: Split) -> str:
    """A patient's, admission or visit number."""
    return random.choice(
        (
            _figures(random, 8),
            _figures(random, 10),
            f"{random.choice(('M', 'ZY', 'MZ', 'P', 'BL', 'JZ', 'YB'))}{_figures(random, random.choice((6, 8, 10)))}",
            f"{random.randint(2015, 2030)}{_figures(random, 6)}",
            f"{random.choice(('ZY', 'MZ'))}-{_figures(random, 7)}",
        )
    )


@open_class
def url(random: Random, split: Split) -> str:
    """A web address; dev and test use example domains, as e-mail addresses do."""
    path = "/".join(random.sample(pools.ENGLISH_WORDS, random.choice((1, 1, 2))))
    tail = random.choice(
        ("", "", f"/{path}", f"/{path}/{random.randint(1, 99999)}", f"/{path}?id={random.randint(1, 9999)}", f"/{path}.html")
    )
    sub = random.choice(("", "www.", "www.", f"{random.choice(pools.ENGLISH_WORDS)}{random.randint(1, 99)}."))
    return random.choice(("https://", "https://", "http://", "")) + sub + domain(random, split) + tail
