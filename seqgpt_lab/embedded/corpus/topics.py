"""Free wordings of what a meeting is about, for training only: lectures, matters, forums, routine meetings. Knows nothing of splits."""

from __future__ import annotations

from random import Random

from seqgpt_lab.embedded.corpus.organisations import brand, city_name
from seqgpt_lab.embedded.corpus.pools import words

_MATTERS = words(
    "调整食堂收费标准 优化报销流程 启用新考勤系统 搬迁办公区 修订差旅制度 更换物业公司 增设夜班岗位 缩短账期 降低退货率 "
    "处理积压库存 改造老旧产线 设立驻外办事处 关闭亏损门店 引进战略投资者 更新保密协议 加装电梯 修缮外墙 统一着装 "
    "上调加班补贴 清理僵尸账号 切换云服务商 压缩会议数量 评选优秀员工 开通海外仓 下调渠道返点 补签劳动合同 扩招实习生 "
    "迁移旧数据 试行弹性工作制 规范发票管理 更换供货商 重签租约 整顿停车秩序 回收过期批次 推行无纸化办公 组建应急小组"
)
_MATTER_ENDS = (
    "的讨论",
    "的专题会",
    "情况通报",
    "说明会",
    "听证会",
    "意见征集会",
    "的协商",
    "事宜",
    "的几点意见",
    "工作碰头会",
    "可行性论证",
    "",
)
_FIELDS = words(
    "智能制造 数字经济 新能源汽车 乡村文旅 跨境电商 生物医药 网络安全 供应链金融 职业教育 医疗器械 绿色建筑 低空经济 预制菜 "
    "人工智能 民宿产业 现代农业 工业设计 知识产权 银发经济 康养产业 直播带货 海洋装备 新材料 智慧物流 碳中和 母婴用品 宠物食品 "
    "茶文化 汽车后市场 照明工程 家居定制 少儿编程 检验检测 园区招商"
)
_EVENTS = words(
    "论坛 高峰论坛 年会 博览会 交流大会 圆桌会 沙龙 公开课 对接会 招商推介会 创新大赛 主题日 开放日 发布会 颁奖典礼 闭门会 学术年会 研修班"
)
_LECTURES = words(
    "如何做好客户回访 怎样写好一份周报 从零开始学数据分析 大模型在客服中的应用 新劳动法解读 小团队如何管好进度 向上汇报的艺术 "
    "合同里容易踩的坑 个税汇算怎么办 读懂财务三张表 办公室急救常识 新人如何快速上手 反诈知识进企业 怎么和难缠的客户沟通 "
    "表格函数速成 职场压力与情绪管理 产品经理的一天 短视频拍摄入门 门店陈列技巧 危化品储存要点 标书撰写实务 税务稽查应对 "
    "老客户为什么流失 仓库账实不符怎么查 商务礼仪二三事 提示词写作入门 出海企业的合规课 高效开会的方法 数据治理从哪里下手"
)
_ROUTINE = words(
    "周例会 晨会 部门例会 班子会 项目碰头会 董事会 股东大会 职工代表大会 业主大会 家长会 经营分析例会 月度盘点会 班前会 述职会 "
    "民主生活会 迎新会 欢送会 表彰大会 誓师大会 答谢会 订货会 经销商大会 校友会 读书会 茶话会 联席会议 视频调度会 办公会 碰头会 "
    "选题会 评标会 面谈会 开工仪式 揭牌仪式 签约仪式 路演 联谊活动 团建活动 应急演练 体检安排会 招聘宣讲会"
)
_TEAMS = words(
    "销售部 研发中心 财务部 客服组 仓储部 品控组 采购部 门店 三车间 工会 党支部 法务部 市场部 "
    "设计组 运营团队 后勤处 教务处 总经理 华南大区 西北片区"
)
_ENGLISH = words(
    "Kick-off Townhall Retrospective Roadmap OKR复盘 KPI对齐会 Budget评审 Sprint规划 All-hands Demo演示 Design评审 "
    "Onboarding培训 Go-live评估 BP沟通会 UAT验收会 ERP切换会 PMO周会 SOP宣贯"
)
_WHEN = ("", "", "", "本月", "年终", "年初", "春季", "秋季", "国庆节前", "双周", "新学期", "临时")


def free_topic(random: Random) -> str:
    """A topic, title or name of a meeting that does not end like the usual `…总结会`."""
    roll = random.random()
    if roll < 0.25:
        return random.choice(("关于", "关于", "", "")) + random.choice(_MATTERS) + random.choice(_MATTER_ENDS)
    if roll < 0.5:
        return _event(random)
    if roll < 0.68:
        return random.choice(("", "", "", "专题讲座——", "公益课——", "内训——")) + random.choice(_LECTURES)
    if roll < 0.88:
        return (
            random.choice(_WHEN)
            + random.choice((brand(random), "", random.choice(_TEAMS), random.choice(_TEAMS)))
            + random.choice(_ROUTINE)
        )
    if roll < 0.95:
        head = random.choice(
            (f"Q{random.randint(1, 4)} ", f"{random.randint(2015, 2030)} ", "", f"Phase {random.randint(1, 5)} ", brand(random))
        )
        return head + random.choice(_ENGLISH)
    return random.choice(_FIELDS) + random.choice(("与", "和", "遇见", "走进", "赋能")) + random.choice(_FIELDS)


def _event(random: Random) -> str:
    count = random.choice(
        ("", "首届", f"第{random.randint(2, 30)}届", f"第{random.choice('二三四五六七八九十')}届", f"{random.randint(2015, 2030)}")
    )
    whose = random.choice((city_name(random), city_name(random), brand(random), "全国", "西部", "青年", ""))
    return count + whose + random.choice(_FIELDS) + random.choice(_EVENTS)
