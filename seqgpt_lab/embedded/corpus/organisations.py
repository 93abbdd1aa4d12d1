"""Makes names of organisations and their parts. Knows nothing about documents."""

from __future__ import annotations

from random import Random

from seqgpt_lab.embedded.corpus import pools
from seqgpt_lab.embedded.corpus.disjoint import open_class
from seqgpt_lab.embedded.corpus.kind import Split

_INDUSTRIES = pools.words(
    "科技 信息技术 网络科技 软件 电子 电子科技 贸易 国际贸易 商贸 实业 建筑工程 建设 装饰工程 装饰设计 房地产开发 置业 "
    "物业管理 物流 供应链管理 运输 医药 医疗器械 生物科技 生物制药 食品 餐饮管理 农业 农业发展 种业 环保科技 新能源 电力 "
    "石油化工 化工 机械 机械制造 重工 汽车 汽车零部件 半导体 光电 通信 智能科技 人工智能 数据服务 文化传媒 广告 影视 教育科技 "
    "教育咨询 咨询 企业管理 人力资源 投资 投资管理 资产管理 保险经纪 融资租赁 服饰 纺织 家具 建材 五金制品 塑料制品 包装材料 "
    "印刷 玩具 日用品 化妆品 珠宝 酒业 茶业 旅游 酒店管理 体育文化 健康管理 航空 船舶 仪器仪表 精密制造"
)
_SECTORS = pools.words(
    "制造业 互联网 金融 房地产 教育 医疗 物流 零售 电子商务 餐饮 建筑 农业 能源 化工 汽车 半导体 人工智能 新能源 生物医药 通信 "
    "传媒 旅游 纺织服装 食品加工 机械制造 环保 软件和信息技术服务业 批发和零售业 交通运输 仓储业 住宿和餐饮业 文化娱乐 体育 "
    "家政服务 装修装饰 咨询服务 法律服务 人力资源服务 跨境电商 云计算 物联网 游戏 广告 印刷 造纸 钢铁 煤炭 石油 航空航天 船舶"
)
_ENDINGS = (
    "有限公司",
    "有限公司",
    "有限公司",
    "有限公司",
    "有限责任公司",
    "股份有限公司",
    "集团有限公司",
    "集团",
    "公司",
    "（集团）有限公司",
    "集团股份有限公司",
)
_OTHERS = (
    "厂",
    "工作室",
    "合作社",
    "研究院",
    "事务所",
    "商行",
    "经营部",
    "超市",
    "专业合作社",
    "服务中心",
    "门市部",
    "设计院",
    "连锁店",
    "分公司",
    "研究所",
    "协会",
)
_FINANCE = ("银行", "银行股份有限公司", "农村商业银行", "村镇银行", "证券", "保险代理有限公司", "基金管理有限公司", "信托")
_TRADES = pools.words(
    "机械 五金 服装 食品 家具 塑料 印刷 设计 摄影 果蔬 种植 养殖 律师 会计师 建材 汽修 电器 农机 规划 文化 家政 茶叶 水产 粮油"
)
_SHORT = (
    "科技",
    "集团",
    "股份",
    "软件",
    "网络",
    "传媒",
    "教育",
    "医药",
    "地产",
    "物流",
    "资本",
    "汽车",
    "电子",
    "食品",
    "能源",
    "",
    "",
    "银行",
    "证券",
    "智能",
)
_BANKS = pools.words(
    "中国工商银行 中国农业银行 中国银行 中国建设银行 交通银行 招商银行 浦发银行 中信银行 兴业银行 民生银行 光大银行 华夏银行 "
    "平安银行 广发银行 中国邮政储蓄银行 浙商银行 工商银行 建设银行 农业银行"
)
_SCHOOLS = pools.words(
    "清华大学 北京大学 复旦大学 上海交通大学 浙江大学 南京大学 中国科学技术大学 武汉大学 华中科技大学 中山大学 华南理工大学 "
    "四川大学 电子科技大学 西安交通大学 哈尔滨工业大学 同济大学 东南大学 天津大学 南开大学 山东大学 厦门大学 吉林大学 中南大学 "
    "湖南大学 重庆大学 大连理工大学 东北大学 北京航空航天大学 北京理工大学 北京师范大学 华东师范大学 中国人民大学 兰州大学 "
    "郑州大学 苏州大学 深圳大学 西南大学 合肥工业大学 华东理工大学 上海财经大学 北京邮电大学 西安电子科技大学 暨南大学 "
    "云南大学 广西大学 南昌大学 福州大学 贵州大学 新疆大学 海南大学 宁波大学"
)
_COLLEGES = pools.words(
    "大学 学院 理工大学 师范大学 工业大学 医科大学 财经大学 农业大学 职业技术学院 科技学院 外国语大学 师范学院 工程学院 "
    "政法大学 第一中学 第二中学 实验中学 外国语学校 实验小学 中心小学 技师学院 第三小学"
)
_PARTS = pools.words("计算机学院 信息学院 管理学院 经济学院 医学院 法学院 附属中学 研究生院")
_HOSPITALS = pools.words(
    "人民医院 第一人民医院 第二人民医院 第三人民医院 中心医院 中医院 妇幼保健院 儿童医院 肿瘤医院 口腔医院 第一医院 "
    "中西医结合医院 眼科医院 骨科医院 传染病医院 第五医院 协和医院 红十字会医院"
)
_DEPARTMENTS = pools.words(
    "技术 研发 销售 市场 人力资源 财务 行政 采购 生产 质量管理 品质 物流 仓储 法务 运营 客服 售后服务 产品 设计 信息 信息技术 "
    "战略发展 审计 风险管理 公共关系 企划 工程 项目管理 国际业务 安全环保 培训 投资 招商 后勤"
)
_OFFICES = pools.words(
    "总经办 办公室 董事会办公室 党委办公室 教务处 财务处 科研处 人事科 综合科 信息科 医务科 护理部 工会 研究院 华东区销售部 "
    "华南大区 数据中心 保卫处 学生处 总务科 华北事业部 战略投资委员会"
)


def brand(random: Random) -> str:
    """An invented trade name of 2 to 4 Chinese characters, sometimes Latin."""
    if random.random() < 0.06:
        return random.choice(pools.LATIN_BRANDS)
    return "".join(random.sample(pools.BRAND_SYLLABLES, random.choice((2, 2, 2, 2, 3, 3, 4))))


def city_name(random: Random) -> str:
    """A city without 市."""
    return random.choice(pools.REGIONS)[1].removesuffix("市")


@open_class
def company(random: Random, split: Split) -> str:
    """A company: full registered name in most draws, else a short name, a works, studio, cooperative, office or branch."""
    kind = random.random()
    if kind < 0.66:
        return _registered(random)
    if kind < 0.82:
        return brand(random) + random.choice(_SHORT)
    if kind < 0.94:
        return _place_prefix(random) + brand(random) + random.choice(_TRADES) + random.choice(_OTHERS)
    if kind < 0.97:
        return _registered(random) + city_name(random) + random.choice(("分公司", "办事处", "分部"))
    return city_name(random) + brand(random) + random.choice(_FINANCE)


def _registered(random: Random) -> str:
    name, industry, ending = brand(random), random.choice(_INDUSTRIES), random.choice(_ENDINGS)
    kind = random.random()
    if kind < 0.12:
        left, right = random.choice(("（）", "（）", "()"))
        return f"{name}{left}{random.choice((city_name(random), '中国'))}{right}{industry}{random.choice(_ENDINGS[:6])}"
    if kind < 0.18:
        return f"{name}{industry}（{city_name(random)}）有限公司"
    return _place_prefix(random) + name + industry + ending


def _place_prefix(random: Random) -> str:
    province, city, _ = random.choice(pools.REGIONS)
    short = province[:3] if province.startswith(("内蒙古", "黑龙江")) else province[:2]
    bare = city.removesuffix("市")
    return random.choice(("", "", bare, bare, bare, city, short))


@open_class
def bank(random: Random, split: Split) -> str:
    """A bank's branch, with or without its city and 股份有限公司."""
    city = city_name(random)
    house = random.choice(_BANKS) if random.random() < 0.85 else city + random.choice(("银行", "农商银行", "农村信用社"))
    form = random.choice(("", "", "", "股份有限公司")) if house.endswith("银行") else ""
    area = random.choice(pools.REGIONS)[2][0].rstrip("区县市")
    spot = random.choice(
        (area, random.choice(pools.ROAD_HEADS) + random.choice(("路", "街", "", "大道")), "".join(random.sample(pools.BRAND_SYLLABLES, 2)))
    )
    return (
        house
        + form
        + random.choice((city, city, city + "市", city + "分行", ""))
        + spot
        + random.choice(("支行", "支行", "支行", "分理处", "营业部"))
    )


@open_class
def hospital(random: Random, split: Split) -> str:
    """A hospital or clinic."""
    province, city, districts = random.choice(pools.REGIONS)
    kind = random.random()
    if kind < 0.5:
        return random.choice(
            (city, city, city.removesuffix("市"), city + random.choice(districts), random.choice(districts))
        ) + random.choice(_HOSPITALS)
    if kind < 0.65:
        return (province or city) + random.choice(_HOSPITALS)
    if kind < 0.8:
        college = random.choice(("医科大学", "大学", "中医药大学", "医学院"))
        return f"{city.removesuffix('市')}{college}附属{random.choice(('第一', '第二', '第三', '口腔', ''))}医院"
    return (
        random.choice((city.removesuffix("市"), ""))
        + brand(random)
        + random.choice(("医院", "口腔门诊部", "综合门诊部", "康复医院", "眼科医院", "妇产医院", "体检中心", "诊所"))
    )


@open_class
def school(random: Random, split: Split) -> str:
    """A university, college or school, sometimes with its faculty."""
    name = random.choice(_SCHOOLS)
    if random.random() < 0.6:
        province, city, _ = random.choice(pools.REGIONS)
        head = random.choice(
            (city.removesuffix("市"), province.removesuffix("省")[:3] if province.endswith("省") else city, city, brand(random))
        )
        name = head + random.choice(_COLLEGES)
    faculty = name.endswith("大学") and random.random() < 0.12
    return name + random.choice(_PARTS) if faculty else name


def department(random: Random, split: Split) -> str:
    """A part of an organisation."""
    if random.random() < 0.2:
        return random.choice(_OFFICES)
    return random.choice(_DEPARTMENTS) + random.choice(("部", "部", "部", "部", "中心", "部门", "组", "一部", "二部", "事业部"))


def industry(random: Random, split: Split) -> str:
    """A line of business."""
    name = random.choice(_SECTORS)
    return name if name.endswith("业") or random.random() < 0.6 else name + "行业"
