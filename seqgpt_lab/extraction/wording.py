"""What is known of the words labels are made of: which mean the same, which say nothing, which ask for an amount. Knows no model."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from seqgpt_lab.extraction.preprocess import converter

# Phrases that ask for the same thing, whatever the kind of document; the first is the plainest.
_ALIKE = """
姓名 名字 人名 name
年龄 岁数 年纪 age
性别 gender
手机号 手机 手机号码 移动电话 mobile phone
电话 联系电话 电话号码 phone number telephone
邮箱 电子邮箱 邮箱地址 邮件地址 email e-mail
地址 住址 详细地址 address
公司 公司名称 单位 企业 机构 company organization
部门 所属部门 department
职位 职务 岗位 position job_title
学历 最高学历 degree education
学校 毕业院校 毕业学校 院校 university school
专业 所学专业 major
身份证号 身份证号码 身份证 证件号码 id_number
日期 date
时间 time
地点 位置 location place
金额 款额 钱数 总金额 amount
价格 单价 price
数量 件数 quantity
产品 商品 货物 产品名称 商品名称 product
供应商 供方 供货方 卖方 乙方 supplier vendor
采购方 需方 买方 采购单位 甲方 buyer purchaser
合同金额 合同总价 合同总金额 合同价款 contract_amount
签订日期 签约日期 签署日期 signing_date
交货期 交货期限 交付期限 供货周期 lead_time
付款方式 支付方式 payment_method
违约金 违约赔偿 penalty
订单号 订单编号 订单号码 order_number
合同编号 合同号 contract_number
快递单号 运单号 物流单号 tracking_number
银行卡号 银行账号 卡号 账号 bank_account
贷款金额 借款金额 贷款额 loan_amount
年利率 年化利率 贷款利率 interest_rate
期限 贷款期限 借款期限 term
借款人 借款人姓名 borrower
担保人 保证人 guarantor
收件人 收货人 收件人姓名 recipient consignee
寄件人 发件人 发货人 sender shipper
患者姓名 患者 病人姓名 就诊人 patient
医生 医师 接诊医生 doctor
科室 就诊科室 挂号科室 department
诊断 诊断结果 初步诊断 diagnosis
发票号码 发票号 票号 invoice_number
税额 税款 税金 tax_amount
税率 增值税率 tax_rate
会议主题 会议名称 议题 meeting_topic
会议地点 会场 开会地点 venue
主持人 会议主持 host
联系人 对接人 contact_person
"""
# Everyday words for what forms call otherwise.
PLAINER = {
    "钱": "金额",
    "多少钱": "金额",
    "钱数": "金额",
    "几岁": "年龄",
    "多大": "年龄",
    "啥时候": "日期",
    "什么时候": "日期",
    "谁": "姓名",
}

_VAGUE_CHINESE = re.compile(
    "(?:关键|重要|主要|核心|基本|基础|相关|有关|其他|其它|所有|全部|详细|具体|有用|必要|的|"
    "信息|内容|数据|情况|要点|要素|事项|资料|详情|细节|东西|部分|文本|字段|重点|备注|点)+"
)
_VAGUE_ENGLISH = re.compile(
    r"(?:\b(?:key|important|main|basic|relevant|other|all|general|any|the|and|"
    r"info|information|content|contents|data|details?|stuff|things?|fields?|text|misc|points?)\b\s*)+"
)
_AMOUNTS = re.compile(
    "(?:金额|价格|单价|总价|总额|价款|货款|费用|费|工资|薪资|薪水|月薪|年薪|收入|成本|税额|税款|押金|预算|价税合计|"
    "重量|净重|毛重|面积|长度|高度|宽度|深度|体积|容量|距离|amount|price|cost|salary|weight|area|length|height)$"
)
_UNITS = re.compile("元|人民币|美元|欧元|英镑|日元|万|吨|公斤|千克|斤|克|米|里|亩|升|kg|km|cm|mm|usd|cny|rmb|eur|[¥￥$€£%]")
_MEASURES = (
    (re.compile("重$|重量|weight"), "公斤"),
    (re.compile("面积|area"), "平方米"),
    (re.compile("体积|容量"), "升"),
    (re.compile("长度|高度|宽度|深度|距离|length|height"), "米"),
)
_UNCONVERTIBLE = re.compile("[\x00\ud800-\udfff]")  # no UTF-8, or the end of a C string
BLANKS_OUTSIDE_ASCII = re.compile(r"(?<![\x20-\x7e])\s+|\s+(?![\x20-\x7e])")  # all but those between ASCII words


def folded(phrase: str) -> str:
    """The phrase as far as its meaning goes: half-width, lower case, simplified characters, no blanks but those between ASCII words."""
    plain = _UNCONVERTIBLE.sub("\ufffd", unicodedata.normalize("NFKC", phrase).casefold())
    plain = plain if plain.isascii() else converter("t2s")(plain)
    return re.sub(r"\s+", " ", BLANKS_OUTSIDE_ASCII.sub("", plain)).strip()


def alike(phrase: str) -> tuple[str, ...]:
    """Built-in phrases that ask for the same thing, without the phrase itself, plainest first; none for words that are not known."""
    wanted = folded(phrase)
    return tuple(dict.fromkeys(word for group in _groups().get(wanted, ()) for word in group if folded(word) != wanted))


def is_vague(phrase: str) -> bool:
    """Whether the phrase says nothing about what is looked for: `关键信息`, `重要内容`, `other details`."""
    plain = folded(phrase)
    return bool(_VAGUE_CHINESE.fullmatch(plain) or _VAGUE_ENGLISH.fullmatch(plain))


def missing_unit(phrase: str) -> str | None:
    """A unit that a phrase asking for an amount could name (元 for money), None where it names one or asks for no amount."""
    plain = folded(phrase)
    if _UNITS.search(plain) or not _AMOUNTS.search(plain):
        return None
    return next((unit for pattern, unit in _MEASURES if pattern.search(plain)), "元")


@lru_cache(maxsize=1)
def _groups() -> dict[str, list[list[str]]]:
    groups: dict[str, list[list[str]]] = {}
    for line in _ALIKE.split("\n"):
        words = [word.replace("_", " ") for word in line.split()]
        for word in words:
            groups.setdefault(folded(word), []).append(words)
    return groups
