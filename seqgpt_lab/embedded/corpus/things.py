"""Makes names of goods, projects, topics and matters of medicine and credit. Knows nothing about documents."""

from __future__ import annotations

from random import Random

from seqgpt_lab.embedded.corpus import pools
from seqgpt_lab.embedded.corpus.disjoint import open_class
from seqgpt_lab.embedded.corpus.kind import Split
from seqgpt_lab.embedded.corpus.organisations import brand, city_name
from seqgpt_lab.embedded.corpus.phrases import phrase
from seqgpt_lab.embedded.corpus.topics import free_topic

_GOODS = pools.words(
    "笔记本电脑 台式电脑 打印机 投影仪 显示器 服务器 交换机 路由器 平板电脑 智能手机 手机 耳机 蓝牙音箱 智能手表 充电宝 键盘 "
    "鼠标 摄像头 移动硬盘 扫描仪 空调 冰箱 洗衣机 电视机 微波炉 电饭煲 净水器 空气净化器 吸尘器 扫地机器人 电热水器 油烟机 "
    "办公桌 办公椅 文件柜 沙发 床垫 衣柜 书架 A4复印纸 中性笔 文件夹 工作服 运动鞋 羽绒服 衬衫 背包 行李箱 大米 食用油 面粉 "
    "茶叶 咖啡豆 牛奶 白酒 红酒 矿泉水 月饼礼盒 坚果礼盒 苹果 猪肉 口罩 消毒液 防护服 血压计 体温计 轮椅 螺栓 轴承 电机 水泵 "
    "阀门 电缆 钢管 钢材 铝板 水泥 玻璃 瓷砖 涂料 木地板 变压器 配电柜 光伏组件 锂电池 充电桩 传感器 控制器 芯片 电路板 连接器 "
    "减速机 压缩机 发电机 数控机床 注塑机 叉车 挖掘机 起重机 包装纸箱 塑料薄膜 化肥 饲料 种子 农药 轮胎 机油 滤清器 图书 玩具 "
    "篮球 跑步机 自行车 电动车"
)
_SYSTEMS = pools.words(
    "办公自动化系统 客户管理系统 财务软件 进销存系统 人事管理系统 视频会议系统 门禁系统 监控系统 数据平台 安全网关 云服务器 "
    "小程序开发服务 网站建设服务 技术服务 运维服务 保洁服务 软件许可"
)
_QUALITIES = (
    "智能",
    "无线",
    "高速",
    "便携式",
    "工业级",
    "家用",
    "商用",
    "不锈钢",
    "环保",
    "节能",
    "全自动",
    "多功能",
    "高清",
    "有机",
    "进口",
    "激光",
    "变频",
    "防水",
)
_PROJECT_WORDS = pools.words(
    "智慧城市 智慧园区 数字化转型 办公楼装修 污水处理 道路改造 厂房建设 数据中心 供应链平台 客户管理系统 新零售平台 人才公寓 "
    "老旧小区改造 光伏发电 冷链物流 在线教育平台 医院信息化 电子政务 轨道交通 桥梁加固 绿化提升 产业园 安防监控 ERP升级 "
    "移动应用开发 品牌推广 乡村振兴 储能电站 智能工厂 港口扩建 影视基地"
)
_PROJECT_ENDS = ("项目", "项目", "项目", "工程", "一期工程", "二期项目", "建设项目", "改造工程", "采购项目", "试点项目", "专项", "EPC项目")
_TOPIC_HEADS = pools.words(
    "季度销售 年度预算 新产品发布 安全生产 客户满意度 供应商管理 质量改进 项目进度 绩效考核 市场推广 品牌建设 信息化建设 "
    "成本控制 人才招聘 企业文化 战略规划 合规管理 技术方案 系统上线 数据安全 风险防控 渠道拓展 售后服务 双十一促销 校企合作 "
    "党建工作 消防安全 节能减排 产能提升 库存优化 研发进展 招投标 员工培训 股权激励 财务审计"
)
_TOPIC_ENDS = (
    "总结会",
    "讨论会",
    "工作会议",
    "推进会",
    "专题会",
    "启动会",
    "评审会",
    "协调会",
    "研讨会",
    "动员大会",
    "培训",
    "座谈会",
    "汇报会",
    "复盘",
    "方案讨论",
    "交流会",
    "沟通会",
    "部署",
    "分析会",
    "问题整改",
)
_LOANS = pools.words(
    "购买住房 购房 房屋装修 经营周转 资金周转 购买汽车 购车 子女教育 留学 采购原材料 扩大生产 购置设备 支付货款 旅游 医疗 "
    "日常消费 流动资金周转 补充流动资金 门店装修 农业生产 偿还贷款 个人消费 创业 支付工程款 发放工资 购买农机 购买商铺 婚庆 "
    "家电购置 厂房建设 技术改造"
)
_COURIERS = pools.words(
    "顺丰速运 顺丰 圆通速递 圆通 中通快递 中通 申通快递 韵达快递 韵达 京东物流 京东快递 EMS 邮政快递包裹 德邦快递 德邦物流 "
    "极兔速递 百世快递 天天快递 菜鸟 跨越速运 安能物流 宅急送 中国邮政"
)
_REPAYMENTS = pools.words(
    "等额本息 等额本金 按月付息到期还本 先息后本 一次性还本付息 到期一次还本付息 按季付息到期还本 随借随还 等本等息 "
    "按月付息、到期还本 按季结息 利随本清 分期还款 每月等额还款 按月等额本息"
)
_CLINICS = pools.words(
    "内科 外科 儿科 妇科 产科 妇产科 骨科 眼科 耳鼻喉科 口腔科 皮肤科 神经内科 神经外科 心内科 心血管内科 呼吸内科 消化内科 "
    "内分泌科 肾内科 泌尿外科 普外科 胸外科 肿瘤科 血液科 感染科 急诊科 康复科 中医科 针灸科 精神科 疼痛科 风湿免疫科 老年科 "
    "重症医学科 麻醉科 放射科 检验科 体检中心 全科医学科 乳腺外科 肛肠科"
)
_DISEASES = pools.words(
    "高血压 2型糖尿病 冠心病 急性支气管炎 肺炎 慢性胃炎 胃溃疡 急性阑尾炎 胆囊炎 胆结石 肾结石 甲状腺功能亢进 甲状腺结节 "
    "腰椎间盘突出症 颈椎病 骨质疏松 膝关节炎 类风湿性关节炎 痛风 脑梗死 脑出血 偏头痛 癫痫 抑郁症 焦虑症 失眠症 白内障 青光眼 "
    "结膜炎 中耳炎 过敏性鼻炎 鼻窦炎 扁桃体炎 上呼吸道感染 流行性感冒 支气管哮喘 慢性阻塞性肺疾病 肺结核 乙型肝炎 脂肪肝 "
    "肝硬化 缺铁性贫血 湿疹 荨麻疹 银屑病 带状疱疹 龋齿 牙周炎 子宫肌瘤 卵巢囊肿 乳腺增生 前列腺炎 尿路感染 肠炎 便秘 心律失常 "
    "心肌炎 心力衰竭 手足口病 水痘 高脂血症 静脉曲张 骨折 踝关节扭伤"
)
_GRADES = ("急性", "慢性", "轻度", "重度", "复发性", "左侧", "右侧", "疑似")
_SYMPTOMS = pools.words(
    "发热 咳嗽 头痛 头晕 胸闷 胸痛 心悸 气短 腹痛 腹泻 恶心 呕吐 乏力 失眠 咽痛 流涕 鼻塞 皮疹 瘙痒 腰痛 关节疼痛 下肢水肿 "
    "视物模糊 耳鸣 食欲不振 体重下降 便血 尿频 尿急 多饮多尿 四肢麻木 盗汗 呼吸困难 牙痛 吞咽困难 手抖 肌肉酸痛 眼干 反酸 嗳气 "
    "黄疸 右下腹疼痛 咳痰 声音嘶哑 行走不便 记忆力减退"
)
_SPANS = ("反复", "持续性", "阵发性", "间断", "夜间", "剧烈", "轻微")
_MEDICINES = pools.words(
    "阿莫西林胶囊 布洛芬缓释胶囊 对乙酰氨基酚片 头孢克肟分散片 阿奇霉素片 奥美拉唑肠溶胶囊 二甲双胍片 硝苯地平控释片 "
    "氨氯地平片 阿托伐他汀钙片 阿司匹林肠溶片 氯雷他定片 蒙脱石散 连花清瘟胶囊 板蓝根颗粒 感冒灵颗粒 复方甘草片 氨溴索口服液 "
    "左氧氟沙星片 甲硝唑片 维生素C片 维生素B12片 葡萄糖酸钙口服液 胰岛素注射液 缬沙坦胶囊 美托洛尔缓释片 氯吡格雷片 "
    "孟鲁司特钠片 布地奈德喷雾剂 六味地黄丸 藿香正气水 云南白药气雾剂 红霉素软膏 玻璃酸钠滴眼液 多潘立酮片 乳果糖口服液 "
    "格列美脲片 甲钴胺片 塞来昔布胶囊 艾司唑仑片 左甲状腺素钠片 硫酸亚铁片 清开灵颗粒 双黄连口服液 开塞露"
)


@open_class
def product(random: Random, split: Split) -> str:
    """A thing or service that is sold, with brand, quality or model in some draws; in training nearly a third are written by hand."""
    if split == "train" and random.random() < 0.3:
        return phrase("products", random)
    kind = random.random()
    goods = random.choice(_GOODS if random.random() < 0.85 else _SYSTEMS)
    if kind < 0.3:
        return goods if random.random() < 0.5 else random.choice(_QUALITIES) + goods
    if kind < 0.55:
        return brand(random) + random.choice(("", "", "牌")) + goods
    model = _model(random)
    if kind < 0.75:
        return f"{model}{random.choice(('', '', '型'))}{random.choice((*_QUALITIES, ''))}{goods}"
    return random.choice(
        (
            f"{brand(random)}{model}{goods}",
            f"{goods}{model}",
            f"{brand(random)} {model}",
            f"{goods}（{model}）",
            f"{random.choice(_QUALITIES)}{goods}",
        )
    )


def _model(random: Random) -> str:
    letters = "".join(random.sample("ABCDEFGHKLMNPRSTXYZ", random.randint(1, 2)))
    number = random.choice((random.randint(1, 99), random.randint(100, 9999)))
    return f"{letters}{random.choice(('', '-'))}{number}{random.choice(('', '', 'Pro', 'S', ' Plus'))}"


@open_class
def project(random: Random, split: Split) -> str:
    """A project's name."""
    work, end = random.choice(_PROJECT_WORDS), random.choice(_PROJECT_ENDS)
    work += "项目" if work[-2:] == end[:2] else end
    if random.random() < 0.1:
        return f"“{''.join(random.sample(pools.BRAND_SYLLABLES, 2))}”计划"
    if random.random() < 0.15:
        return work
    place = city_name(random)
    return random.choice((place, place, place + "市", brand(random), place + brand(random), f"{random.randint(2015, 2030)}年")) + work


@open_class
def meeting_topic(random: Random, split: Split) -> str:
    """What a meeting is about; in training a third are written by hand, and half of the others of the wider kinds in `topics.py`."""
    if split == "train" and random.random() < 0.65:
        return phrase("topics", random) if random.random() < 0.5 else free_topic(random)
    head = random.choice(_TOPIC_HEADS)
    if random.random() < 0.25:
        head += random.choice(("与", "及", "暨")) + random.choice(_TOPIC_HEADS)
    time = random.choice(
        (
            "",
            "",
            "",
            f"{random.randint(2015, 2030)}年",
            f"{random.randint(2015, 2030)}年度",
            f"第{random.choice('一二三四')}季度",
            f"{random.randint(1, 12)}月份",
            "上半年",
            "年中",
        )
    )
    whose = random.choice(("", "", "", brand(random), "集团", "公司", "华东区"))
    return random.choice((whose + time, time)) + head + random.choice(_TOPIC_ENDS)


def clinic_department(random: Random, split: Split) -> str:
    """A department of a hospital."""
    return random.choice(_CLINICS) + random.choice(("", "", "", "", "", "门诊", "一病区", "二病区"))


def disease(random: Random, split: Split) -> str:
    """A diagnosis."""
    name = random.choice(_DISEASES)
    if random.random() < 0.12 and not name.startswith(("急性", "慢性")):
        return random.choice(_GRADES) + name
    return name + random.choice(("", "", "", "", "", "", "（轻度）", "Ⅱ期", "待查", "急性发作"))


def symptom(random: Random, split: Split) -> str:
    """One complaint, or two joined by 、 or 伴."""
    first, second = random.sample(_SYMPTOMS, 2)
    return random.choice(
        (
            first,
            first,
            first,
            random.choice(_SPANS) + first,
            f"{first}、{second}",
            f"{first}伴{second}",
            f"{first}{random.choice('一两三五')}{random.choice(('天', '周', '个月'))}",
        )
    )


def medicine(random: Random, split: Split) -> str:
    """A medicine with its form, sometimes its strength."""
    return random.choice(_MEDICINES) + random.choice(
        ("", "", "", "", "", f"（{random.choice(('5mg', '10mg', '20mg', '0.1g', '0.25g', '0.5g'))}）")
    )


def loan_purpose(random: Random, split: Split) -> str:
    """What a loan is for."""
    return random.choice(_LOANS)


def courier(random: Random, split: Split) -> str:
    """A parcel carrier."""
    return random.choice(_COURIERS)


def repayment(random: Random, split: Split) -> str:
    """A way to pay a loan back."""
    return random.choice(_REPAYMENTS)
