"""Makes places: cities, addresses, venues and rooms. Knows nothing about documents."""

from __future__ import annotations

from random import Random

from seqgpt_lab.embedded.corpus import pools
from seqgpt_lab.embedded.corpus.disjoint import open_class
from seqgpt_lab.embedded.corpus.kind import Split
from seqgpt_lab.embedded.corpus.organisations import brand, city_name

_ROOMS = (
    "会议室",
    "会议室",
    "会议室",
    "小会议室",
    "大会议室",
    "多功能厅",
    "报告厅",
    "培训室",
    "洽谈室",
    "视频会议室",
    "贵宾厅",
    "路演厅",
    "教室",
    "阶梯教室",
)
_SITES = (
    "国际会展中心",
    "体育馆",
    "体育中心",
    "图书馆",
    "大剧院",
    "酒店",
    "大酒店",
    "国际酒店",
    "宾馆",
    "会议中心",
    "文化广场",
    "购物中心",
    "科技馆",
    "博物馆",
    "产业园",
    "度假村",
    "仓库",
    "工地",
    "物流园",
    "高铁站",
)


def city(random: Random, split: Split) -> str:
    """A city, with or without 市, sometimes with its province or a district."""
    province, name, districts = random.choice(pools.REGIONS)
    bare = name.removesuffix("市")
    return random.choice((bare, bare, bare, name, name, province + name, name + random.choice(districts)))


@open_class
def address(random: Random, split: Split) -> str:
    """A street address with a house number; province, district, building and room vary."""
    province, name, districts = random.choice(pools.REGIONS)
    bare = random.choice((name, name, name, name.removesuffix("市")))
    head = random.choice((province, province, "")) + bare + random.choice((random.choice(districts), random.choice(districts), ""))
    kind = random.random()
    if kind < 0.08:
        return f"{head}{_village(random)}"
    gap = " " if random.random() < 0.05 else ""
    return f"{head}{gap}{_street(random)}{gap}{_inside(random)}".rstrip()


def _road(random: Random) -> str:
    head = random.choice(pools.ROAD_HEADS) if random.random() < 0.6 else "".join(random.sample(pools.BRAND_SYLLABLES, 2))
    return head + random.choice(pools.ROAD_TAILS)


def _street(random: Random) -> str:
    if random.random() < 0.05:
        return f"{_road(random)}{random.randint(2, 999)}弄{random.randint(1, 99)}号"
    number = random.randint(1, 999) if random.random() < 0.8 else random.randint(1000, 3999)
    return f"{_road(random)}{number}{random.choice(('号', '号', '号', '号', '号', '号', '号甲', '号院', '-3号', '号附2号'))}"


def _village(random: Random) -> str:
    town, hamlet = ("".join(random.sample(pools.BRAND_SYLLABLES, 2)) for _ in range(2))
    return f"{town}{random.choice('镇乡')}{hamlet}村{random.choice(('', f'{random.randint(1, 18)}组', f'{random.randint(1, 300)}号'))}"


def _inside(random: Random) -> str:
    name = "".join(random.sample(pools.BRAND_SYLLABLES, 2))
    block, unit, floor, door = random.randint(1, 60), random.randint(1, 6), random.randint(1, 32), random.randint(1, 28)
    room = f"{floor}{door:02d}室"
    estate, tower = name + random.choice(pools.ESTATES), name + random.choice(pools.BUILDINGS)
    forms = (
        "",
        "",
        room,
        f"{estate}{block}栋{unit}单元{room}",
        f"{estate}{block}号楼{room}",
        f"{estate}{block}幢{floor}{door:02d}",
        f"{estate}{block}-{unit}-{floor}{door:02d}",
        f"{tower}{random.choice('ABCDE')}座{floor}层",
        f"{tower}{room}",
        f"{tower}{floor}楼",
        f"{tower}{block}栋",
        f"（{tower}{floor}层）",
        f"{tower}{floor}F",
    )
    return random.choice(forms)


@open_class
def place(random: Random, split: Split) -> str:
    """A venue, site or room where something happens."""
    kind = random.random()
    if kind < 0.35:
        return _room(random)
    where = random.choice(("", "", city_name(random)))
    if kind < 0.75:
        site = where + brand(random) + random.choice(_SITES)
        return site + random.choice(
            (
                "",
                "",
                f"{random.randint(1, 30)}楼",
                f"{random.randint(1, 30)}层{_hall(random)}",
                _hall(random),
                f"{random.randint(1, 12)}号馆",
            )
        )
    if kind < 0.9:
        return (
            where
            + random.choice(("".join(random.sample(pools.BRAND_SYLLABLES, 2)), "公司", "集团", "总部"))
            + random.choice(pools.BUILDINGS)
            + random.choice(("一楼大厅", f"{random.randint(2, 30)}楼{_hall(random)}", "大堂", _room(random)))
        )
    return f"{city_name(random)}{_street(random)}"


@open_class
def meeting_room(random: Random, split: Split) -> str:
    """A meeting room, by number, floor or name."""
    return _room(random)


def _room(random: Random) -> str:
    floor, door, name = random.randint(1, 32), random.randint(1, 30), _hall(random)
    letter = random.choice("ABCDEF")
    kind, ordinal = random.choice(_ROOMS), random.choice("一二三四五六七八九")
    forms = (
        f"{floor}{door:02d}{kind}",
        f"{floor}楼{kind}",
        f"{floor}楼第{ordinal}{kind}",
        f"第{ordinal}{kind}",
        f"{letter}{floor}{door:02d}{kind}",
        f"{letter}座{floor}{door:02d}{kind}",
        f"{floor}层{name}",
        f"{floor}号{kind}",
        f"{''.join(random.sample(pools.BRAND_SYLLABLES, 2))}{kind}",
        f"行政楼{floor}{door:02d}室",
        f"{random.choice('东西南北')}楼{floor}{door:02d}",
    )
    return random.choice(forms)


def _hall(random: Random) -> str:
    return "".join(random.sample(pools.BRAND_SYLLABLES, 2)) + random.choice(("厅", "厅", "会议室", "宴会厅", "报告厅"))
