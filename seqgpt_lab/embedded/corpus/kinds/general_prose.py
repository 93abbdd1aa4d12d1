"""News and encyclopaedia sentences about people, bodies and places, for training only; knows nothing of the annotated sets."""

from __future__ import annotations

from random import Random

from seqgpt_lab.embedded.corpus import values
from seqgpt_lab.embedded.corpus.disjoint import open_class
from seqgpt_lab.embedded.corpus.kind import FieldSpec, Kind, Split
from seqgpt_lab.embedded.corpus.phrases import phrase


@open_class
def _person(random: Random, split: Split) -> str:
    return phrase("foreign_names", random) if random.random() < 0.45 else values.person_name(random, split)


@open_class
def _body(random: Random, split: Split) -> str:
    made = random.random()
    if made < 0.75:
        return phrase("bodies", random)
    return (values.company if made < 0.9 else values.school)(random, split)


@open_class
def _place(random: Random, split: Split) -> str:
    return phrase("places", random) if random.random() < 0.85 else values.city(random, split)


KIND = Kind(
    name="general_prose",
    title="新闻与百科",
    labels=("人名", "地名", "组织机构", "担任职务"),
    fields=(
        FieldSpec(
            "人物名",
            _person,
            "person",
            ("姓名", "名字", "name"),
            clauses=(
                "{人物名}[[当天也在场||没有露面]]",
                "这幅画出自{人物名}之手",
                "人们至今还记得{人物名}的那番话",
                "{人物名}、{人物名#2}和{人物名#3}获得提名",
                "接替{人物名}的是{人物名#2}",
                "{人物名}与{人物名#2}[[育有一子||后来分居]]",
                "“天气帮了我们的忙。”{人物名}说",
                "后来的学者多引用{人物名}的说法",
            ),
        ),
        FieldSpec(
            "组织机构",
            _body,
            "organisation",
            ("组织", "公司或机构", "organization name"),
            clauses=(
                "{组织机构}[[尚未回应||拒绝置评]]",
                "这项研究由{组织机构}资助",
                "他先后加入{组织机构}和{组织机构#2}",
                "{组织机构}发布的数字与此相近",
                "双方代表{组织机构}与{组织机构#2}签了备忘录",
                "{组织机构}的总部迁过三次",
                "消息最早见于{组织机构}的公告",
                "{组织机构}以两分之差[[负于||险胜]]{组织机构#2}",
            ),
        ),
        FieldSpec(
            "地名",
            _place,
            "place",
            ("地区", "location"),
            clauses=(
                "{地名}[[普降大雨||连日高温]]",
                "船队从{地名}驶往{地名#2}",
                "{地名}北接{地名#2}，南临{地名#3}",
                "当年的旧址在{地名}",
                "{地名}和{地名#2}之间将通铁路",
                "他把余生都留在了{地名}",
                "候鸟每年在{地名}停留两个月",
                "比赛移到{地名}举行",
            ),
        ),
        FieldSpec(
            "担任职务",
            values.job_title,
            "title",
            ("头衔", "title"),
            clauses=(
                "{人物名}辞去{担任职务}一职",
                "新任{担任职务}{人物名}[[首次亮相||到任]]",
                "时任{担任职务}的{人物名}反对这一方案",
                "{担任职务}的人选还未公布",
                "由{人物名}接任{担任职务}",
                "{组织机构}的{担任职务}出席了仪式",
                "他从{担任职务}做起",
                "据一位不愿具名的{担任职务}透露",
            ),
        ),
        FieldSpec(
            "发生日期",
            values.date,
            "date",
            ("当天日期", "发生时间"),
            clauses=(
                "事情发生在{发生日期}",
                "{发生日期}[[正式通车||对外开放]]",
                "碑文落款是{发生日期}",
                "此后直到{发生日期}才恢复",
                "{发生日期}的那场雨下了一夜",
                "会期定于{发生日期}",
                "自{发生日期}起改用今名",
                "手稿写于{发生日期}",
            ),
        ),
    ),
    templates={"train": (), "dev": (), "test": ()},
    title_phrases=("百科", "新闻报道", "news"),
)
