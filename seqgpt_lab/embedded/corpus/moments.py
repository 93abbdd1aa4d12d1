"""Makes dates, clock times and spans in the ways Chinese documents write them. Knows nothing about documents."""

from __future__ import annotations

import datetime
from random import Random

from seqgpt_lab.embedded.corpus.kind import Split
from seqgpt_lab.embedded.corpus.numerals import digits, numeral

_FIRST, _LAST = datetime.date(2000, 1, 1), datetime.date(2032, 12, 31)
_BORN_FIRST, _BORN_LAST = datetime.date(1945, 1, 1), datetime.date(2012, 12, 31)
_WEEK = "一二三四五六日"
_SPOKEN_MINUTES = {0: ("点", "点", "点整"), 30: ("点半", "点半", "点半"), 15: ("点一刻",), 45: ("点三刻",)}


def date(random: Random, split: Split) -> str:
    """A calendar day between 2000 and 2032 inclusive, in any written form; sometimes without year, or a month only."""
    day = _day(random, _FIRST, _LAST)
    kind = random.random()
    if kind < 0.75:
        return _full(random, day)
    if kind < 0.87:
        return random.choice(
            (f"{day.month}月{day.day}日", f"{day.month}月{day.day}日", f"{day.month}月{day.day}号", f"{day:%m}月{day:%d}日")
        )
    if kind < 0.95:
        return random.choice(
            (
                f"{day.year}年{day.month}月",
                f"{day.year}年{day.month}月",
                f"{day:%Y.%m}",
                f"{day:%Y-%m}",
                f"{day:%Y/%m}",
                f"{day.year}年{day:%m}月",
                f"{day.year}年{day.month}月底",
            )
        )
    return _with_weekday(random, day)


def birth_date(random: Random, split: Split) -> str:
    """A birthday between 1945 and 2012 inclusive; sometimes a month only."""
    day = _day(random, _BORN_FIRST, _BORN_LAST)
    if random.random() < 0.85:
        return _full(random, day)
    return random.choice((f"{day.year}年{day.month}月", f"{day:%Y.%m}", f"{day:%Y-%m}", f"{day:%Y%m%d}"))


def time_of_day(random: Random, split: Split) -> str:
    """A clock time, sometimes a range of two."""
    hour, minute = random.randint(7, 21), random.choice((0, 0, 0, 30, 30, 15, 45, random.randrange(60)))
    if random.random() < 0.1:
        later = min(hour + random.randint(1, 3), 23)
        return f"{hour:02d}:{minute:02d}{random.choice(('-', '至', '~', '—', ' - '))}{later:02d}:{minute:02d}"
    return _clock(random, hour, minute)


def date_time(random: Random, split: Split) -> str:
    """A day and a clock time together; the day is sometimes relative to now."""
    day = _day(random, _FIRST, _LAST)
    kind = random.random()
    if kind < 0.45:
        return f"{_full(random, day)}{random.choice(('', '', ' '))}{_spoken_or_colon(random)}"
    if kind < 0.55:
        stamp = random.choice((f"{day:%Y-%m-%d} ", f"{day:%Y/%m/%d} ", f"{day:%Y.%m.%d} "))
        return f"{stamp}{random.randrange(24):02d}:{random.randrange(60):02d}{random.choice(('', '', f':{random.randrange(60):02d}'))}"
    if kind < 0.8:
        weekday = random.choice(("", "", f"（周{_WEEK[day.weekday()]}）", f"（星期{_WEEK[day.weekday()]}）"))
        return f"{day.month}月{day.day}{random.choice('日日日号')}{weekday}{_spoken_or_colon(random)}"
    near = random.choice(("明天", "今天", "后天", "本", "下", "这"))
    head = near if near.endswith("天") else near + random.choice(("周", "周", "星期")) + random.choice("一二三四五六")
    return head + _spoken_or_colon(random)


def period(random: Random, split: Split) -> str:
    """A length of time: years, months, days, working days, hours."""
    number = random.choice((1, 2, 3, 5, 6, 7, 10, 12, 15, 18, 20, 24, 30, 36, 45, 48, 60, 90, 120, 180, random.randint(1, 60)))
    small = random.randint(1, 10)
    spelt = "两" if small == 2 else numeral(small)
    forms = (
        f"{number}个月",
        f"{number}个月",
        f"{small}年",
        f"{spelt}年",
        f"{spelt}个月",
        f"{number}天",
        f"{number}日",
        f"{number}个工作日",
        f"{number}个工作日",
        f"{number}个自然日",
        f"{spelt}周",
        f"{number}小时",
        f"{numeral(number)}日",
        f"{small}年{random.randint(1, 11)}个月",
        f"{spelt}个工作日",
        f"{number} 个月",
        "半年",
        "一年半",
        "一个季度",
        f"{number * 10}日历天",
    )
    return random.choice(forms)


def _day(random: Random, first: datetime.date, last: datetime.date) -> datetime.date:
    return first + datetime.timedelta(days=random.randint(0, (last - first).days))


def _full(random: Random, day: datetime.date) -> str:
    plain = f"{day.year}年{day.month}月{day.day}日"
    if random.random() < 0.42:
        return plain
    spelt = f"{digits(str(day.year))}年{numeral(day.month)}月{numeral(day.day)}日"
    forms = (
        f"{day:%Y-%m-%d}",
        f"{day:%Y-%m-%d}",
        f"{day.year}/{day.month}/{day.day}",
        f"{day:%Y/%m/%d}",
        f"{day:%Y.%m.%d}",
        f"{day.year}.{day.month}.{day.day}",
        f"{day.year}-{day.month}-{day.day}",
        f"{day.year}年{day:%m}月{day:%d}日",
        f"{day.year}年{day:%m}月{day:%d}日",
        f"{day.year}年{day.month}月{day.day}号",
        f"{day.year} 年 {day.month} 月 {day.day} 日",
        spelt,
        spelt,
        spelt.replace("〇", "零"),
    )
    return random.choice(forms)


def _with_weekday(random: Random, day: datetime.date) -> str:
    name = _WEEK[day.weekday()]
    weekday = random.choice((f"（星期{name}）", f"（周{name}）", f"星期{name}", f"(周{name})"))
    return f"{random.choice((f'{day.year}年', ''))}{day.month}月{day.day}日{weekday}"


def _clock(random: Random, hour: int, minute: int) -> str:
    if random.random() < 0.4:
        return random.choice(
            (
                f"{hour:02d}:{minute:02d}",
                f"{hour:02d}:{minute:02d}",
                f"{hour}:{minute:02d}",
                f"{hour}时{minute:02d}分" if minute else f"{hour}时",
                f"{hour:02d}：{minute:02d}",
            )
        )
    return _spoken(random, hour, minute)


def _spoken(random: Random, hour: int, minute: int) -> str:
    head = "上午" if hour < 12 else "中午" if hour == 12 else "下午" if hour < 18 else "晚上"
    if hour < 9 and random.random() < 0.3:
        head = "早上"
    small = hour if hour <= 12 else hour - 12
    spelt = "两" if small == 2 else numeral(small)
    tails = _SPOKEN_MINUTES.get(minute, ())
    figures = random.choice((*tails, "点", "点整", "时") if minute == 0 else (*tails, f"点{minute:02d}分", f"时{minute:02d}分"))
    words = random.choice(tails or (f"点{'零' * (minute < 10)}{numeral(minute)}分",))
    return head + random.choice((f"{small}{figures}", f"{small}{figures}", f"{spelt}{words}", f"{small}:{minute:02d}"))


def _spoken_or_colon(random: Random) -> str:
    hour, minute = random.randint(7, 21), random.choice((0, 0, 0, 30, 30, 15, 45))
    return _spoken(random, hour, minute) if random.random() < 0.7 else f"{hour:02d}:{minute:02d}"
