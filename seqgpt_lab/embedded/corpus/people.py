"""Makes values about a person: names, studies, work and reachability. Knows nothing about documents."""

from __future__ import annotations

from random import Random

from seqgpt_lab.embedded.corpus import pools
from seqgpt_lab.embedded.corpus.disjoint import open_class
from seqgpt_lab.embedded.corpus.kind import Split
from seqgpt_lab.embedded.corpus.numerals import numeral
from seqgpt_lab.embedded.corpus.phrases import phrase

_LEVELS = ("高级", "资深", "助理", "首席", "初级", "中级", "副", "见习", "实习", "常务副")
_FIELDS = pools.words(
    "软件 前端 后端 算法 测试 运维 机械 电气 结构 工艺 质量 网络 数据 嵌入式 硬件 土木 暖通 安全 自动化 材料 化工 造价 给排水 "
    "Java Python Android iOS UI AI 大数据 云计算"
)
_AREAS = pools.words(
    "销售 市场 人事 行政 财务 采购 物流 客服 项目 产品 运营 品牌 区域 大客户 渠道 商务 仓储 生产 研发 技术 法务 公关 培训 质检 "
    "信息 投资 信贷 风控 审计 门店"
)
_ROLES = ("经理", "主管", "专员", "总监", "助理", "负责人", "顾问", "总经理", "代表", "部长", "部经理")
_JOBS = pools.words(
    "总经理 董事长 副总经理 总裁 副总裁 首席执行官 CEO CTO CFO COO 执行董事 合伙人 董事会秘书 监事 会计 出纳 司机 教师 教授 "
    "副教授 讲师 班主任 校长 教导主任 医生 主治医师 主任医师 副主任医师 护士 护士长 药剂师 律师 公证员 法官 记者 编辑 主编 "
    "翻译 导游 厨师长 厨师 店长 收银员 导购 保安队长 仓库管理员 电工 焊工 车间主任 班组长 设计师 平面设计师 室内设计师 建筑师 "
    "监理工程师 项目总监 架构师 数据分析师 产品经理 技术总监 财务总监 人力资源总监 人力资源经理 行政前台 秘书 办公室主任 科长 "
    "处长 局长 主任科员 研究员 副研究员 博士后 分析师 交易员 客户经理 理财经理 行长 支行行长 柜员 审计师 注册会计师 精算师 "
    "培训师 摄影师 主播 文案策划 新媒体运营 快递员 配送员"
)
_GRADABLE = (
    "设计师",
    "架构师",
    "分析师",
    "会计师",
    "研究员",
    "编辑",
    "律师",
    "顾问",
    "培训师",
    "数据分析师",
    "产品经理",
    "客户经理",
    "翻译",
)
_SUBJECTS = pools.words(
    "计算机科学与技术 软件工程 电子信息工程 通信工程 自动化 机械设计制造及其自动化 土木工程 会计学 财务管理 金融学 "
    "国际经济与贸易 工商管理 市场营销 人力资源管理 法学 汉语言文学 英语 日语 新闻学 广告学 临床医学 护理学 药学 中医学 "
    "口腔医学 应用数学 统计学 物理学 应用化学 生物工程 食品科学与工程 环境工程 材料科学与工程 建筑学 工业设计 视觉传达设计 "
    "物流管理 电子商务 旅游管理 学前教育 体育教育 音乐表演 信息与计算科学 信息安全 数据科学与大数据技术 人工智能 车辆工程 "
    "能源与动力工程 电气工程及其自动化 测控技术与仪器 园林 农学 动物医学 社会工作 行政管理 公共事业管理 信息管理与信息系统 "
    "物联网工程 网络工程 数字媒体技术 工程造价 工程管理 测绘工程 采矿工程 安全工程 审计学 税收学 保险学 心理学 哲学 历史学"
)
_SKILLS = pools.words(
    "Python Java C++ Go Rust JavaScript TypeScript SQL MySQL PostgreSQL Redis Docker Kubernetes Linux Git Spring Vue React "
    "Node.js PyTorch TensorFlow Spark Hadoop Kafka Excel PPT Word Photoshop AutoCAD SolidWorks Premiere Illustrator Axure SAP "
    "ERP 数据分析 项目管理 机器学习 深度学习 自然语言处理 财务报表分析 税务筹划 合同审核 商务谈判 市场调研 活动策划 文案写作 "
    "新媒体运营 短视频剪辑 英语口语 日语翻译 电路设计 PLC编程 数控编程 机械制图 焊接工艺 质量管理 供应链管理 仓储管理 "
    "客户关系管理 团队管理 招聘与配置 绩效管理 课程开发 心理咨询 急救护理 驾驶 速记"
)
_ETHNICITIES = pools.words(
    "汉族 回族 满族 蒙古族 藏族 维吾尔族 壮族 苗族 彝族 土家族 朝鲜族 侗族 瑶族 白族 哈尼族 傣族 哈萨克族 黎族 畲族 羌族"
)
_SAFE_DOMAINS = (
    "example.com",
    "example.cn",
    "example.org",
    "example.net",
    "mail.example.com",
    "corp.example.com",
    "office.example.cn",
    "hr.example.org",
    "mx.example.net",
)


@open_class
def person_name(random: Random, split: Split) -> str:
    """A full name: mostly Han of 2 to 4 characters, some traditional, minority or foreign ones."""
    kind = random.random()
    if kind < 0.90:
        return _surname(random) + _given(random, pools.GIVEN)
    if kind < 0.92:
        return random.choice(pools.TRADITIONAL_SURNAMES) + _given(random, pools.TRADITIONAL_GIVEN)
    if kind < 0.96:
        return _minority_name(random)
    return _foreign_name(random)


def _surname(random: Random) -> str:
    # Real names crowd on few surnames; half the draws come from the first 60.
    if random.random() < 0.05:
        return random.choice(pools.COMPOUND_SURNAMES)
    return random.choice(pools.SURNAMES[:60] if random.random() < 0.5 else pools.SURNAMES)


def _given(random: Random, signs: tuple[str, ...]) -> str:
    if random.random() < 0.04:
        return random.choice(signs) * 2
    return "".join(random.sample(signs, 1 if random.random() < 0.25 else 2))


def _minority_name(random: Random) -> str:
    kind = random.randrange(4)
    if kind < 2:
        dot = random.choice("···•・")
        return dot.join(random.sample(pools.UYGHUR_NAMES, 2))
    if kind == 2:
        return "".join(random.sample(pools.TIBETAN_NAMES, random.choice((1, 2, 2, 2))))
    return random.choice(pools.MONGOL_NAMES)


def _foreign_name(random: Random) -> str:
    kind = random.random()
    if kind < 0.25:
        return random.choice(pools.FOREIGN_FAMILY)
    if kind < 0.5:
        return random.choice(pools.JAPANESE_FAMILY) + random.choice(pools.JAPANESE_GIVEN)
    if kind < 0.65:
        return f"{random.choice(pools.PINYIN).title()} {''.join(random.sample(pools.PINYIN, 2)).title()}"
    return f"{random.choice(pools.FOREIGN_GIVEN)}·{random.choice(pools.FOREIGN_FAMILY)}"


def job_title(random: Random, split: Split) -> str:
    """A post such as 高级软件工程师, 销售总监, 副总经理."""
    if split == "train" and random.random() < 0.5:
        return phrase("titles", random)
    kind = random.random()
    if kind < 0.35:
        level = random.choice(_LEVELS[:6]) if random.random() < 0.5 else ""
        return level + random.choice(_FIELDS) + random.choice(("工程师", "工程师", "工程师", "开发工程师", "技术员", "专家"))
    if kind < 0.65:
        level = random.choice(("高级", "资深", "助理", "副", "见习")) if random.random() < 0.25 else ""
        return level + random.choice(_AREAS) + random.choice(_ROLES)
    if kind < 0.75:
        return random.choice(_LEVELS[:6]) + random.choice(_GRADABLE)
    return random.choice(_JOBS)


def major(random: Random, split: Split) -> str:
    """A subject of study; sometimes ending in 专业."""
    return random.choice(_SUBJECTS) + ("专业" if random.random() < 0.12 else "")


def degree(random: Random, split: Split) -> str:
    """A level of education."""
    return random.choice(
        (
            "本科",
            "本科",
            "硕士",
            "博士",
            "大专",
            "专科",
            "高中",
            "中专",
            "硕士研究生",
            "博士研究生",
            "本科学历",
            "学士",
            "研究生",
            "MBA",
            "在职研究生",
            "初中",
            "双学士",
        )
    )


def gender(random: Random, split: Split) -> str:
    """男 or 女, sometimes with 性."""
    return random.choice(("男", "女", "男", "女", "男性", "女性"))


def ethnicity(random: Random, split: Split) -> str:
    """One of the country's peoples, 汉族 most often."""
    return random.choice(("汉族", "汉族", "汉族", random.choice(_ETHNICITIES)))


def age(random: Random, split: Split) -> str:
    """An age in years, 1..89 inclusive, always with its unit."""
    number = random.randint(18, 65) if random.random() < 0.85 else random.randint(1, 89)
    if random.random() < 0.1:
        return numeral(number) + random.choice(("岁", "周岁"))
    return f"{number}{random.choice(('岁', '岁', '岁', '周岁', ' 岁'))}"


def years(random: Random, split: Split) -> str:
    """A length of service in years."""
    number = random.randint(1, 30)
    spelt = "两" if number == 2 else numeral(number)
    forms = (
        f"{number}年",
        f"{number}年",
        f"{number}年",
        f"{spelt}年",
        f"{number}年多",
        f"{number}年以上",
        f"{spelt}年多",
        f"近{number}年",
        f"{number} 年",
        f"{spelt}年半",
        random.choice(("10余年", "20余年", "十余年", "二十余年")),
    )
    return random.choice(forms)


def skill(random: Random, split: Split) -> str:
    """One thing a person can do or use."""
    return random.choice(_SKILLS)


@open_class
def email(random: Random, split: Split) -> str:
    """An e-mail address; dev and test use example domains (RFC 2606; example.cn is not in it), train invented ones."""
    return f"{_mailbox(random)}@{domain(random, split)}"


@open_class
def wechat(random: Random, split: Split) -> str:
    """A chat handle of 6 to 20 letters, digits, `_` and `-`, starting with a letter."""
    stem = "".join(random.sample(pools.PINYIN, 2))
    tail = str(random.randint(10, 99999))
    return random.choice(
        (f"{stem}{tail}", f"{stem}_{tail}", f"wx_{stem}{tail}", f"{stem.title()}{tail}", f"wxid_{stem}{tail}", f"{stem}-{tail}")
    )


def domain(random: Random, split: Split) -> str:
    """A host name: an example domain (RFC 2606; example.cn is not in it) for dev and test, mostly invented for train."""
    if split != "train" or random.random() < 0.1:
        return random.choice(_SAFE_DOMAINS)
    words = random.sample(pools.PINYIN + pools.ENGLISH_WORDS, random.choice((2, 2, 3)))
    stem = random.choice(("", "", "", "-")).join(words) + random.choice(("", "", "", str(random.randint(1, 999))))
    host = random.choice(("", "", "", "mail.", "corp.", "vip."))
    return host + stem + random.choice((".com", ".com", ".cn", ".com.cn", ".net", ".org", ".edu.cn", ".tech", ".io", ".co"))


def _mailbox(random: Random) -> str:
    first, second, third = random.sample(pools.PINYIN, 3)
    number = str(random.randint(1, 9999))
    word = random.choice(pools.ENGLISH_WORDS)
    forms = (
        f"{first}{second}",
        f"{first}.{second}",
        f"{first}_{second}{number}",
        f"{first}{second}{third}",
        f"{second[0]}{third[0]}{first}",
        f"{first}{number}",
        f"{word}.{first}",
    )
    return random.choice(
        (*forms, f"{word}{number}", f"{first}-{second}", f"{first.title()}.{second.title()}", f"{random.randint(10**5, 10**9)}", word)
    )
