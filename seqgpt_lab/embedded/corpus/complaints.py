"""Free wordings of what is wrong with goods, parcels, bills or service, for training only. Knows nothing of splits."""

from __future__ import annotations

from random import Random

from seqgpt_lab.embedded.corpus.pools import words

_PARTS = words(
    "门板 抽屉 滚轮 喷头 密封圈 指示灯 数据线 说明页 扬声器 麦克风 散热风扇 表带 鞋底 袖口 领子 纽扣 瓶盖 标签 内胆 外包装 封口 "
    "旋钮 触摸键 车架 刹车 坐垫 桌腿 螺丝孔 玻璃面 涂层 印花 线头 插座 电机 保温层 刀头 杯身 底盘 天线 镜片 里衬 背带 托盘 桶身"
)
_STATES = words(
    "歪了 断了 是坏的 少一半 脱胶 开线 生锈了 不亮 不转 卡住了 关不严 拧不动 有裂纹 有污渍 有毛刺 晃得厉害 合不上 漏气 没反应 "
    "时好时坏 一按就陷进去 是用过的 有胶水味 起泡了 褪色严重 鼓包 压扁了 装反了 尺寸偏小 尺寸偏大 缺了个角 被压坏 冒烟 烫手 "
    "吱吱响 黏糊糊的 错位了 摸着扎手 掉了一地 有虫眼 发霉了"
)
_AFTER = words(
    "洗了一次就 用了三天就 装好第二天就 才开封就 没到一周就 充满电后 连上手机后 下雨天 "
    "刚过保修期就 轻轻一碰就 放着没动就 开到最大档就 孩子一坐就"
)
_THEN = words(
    "缩水了 起球 不转了 掉色 罢工了 黑屏 自己断电 变味了 塌了 报错 断开连接 闪个不停 卡死 冒黑烟 "
    "出现异响 打不着火 散架了 死活开不了 漏了一地 变黄了 没声音了"
)
_PARCEL = words(
    "快递显示签收但没收到 包裹被放在楼道里丢了 送错小区了 物流停在半路好几天 迟迟不发货 催了三次还不发 箱子淋湿了 外箱被拆过 "
    "配送员拒绝送上楼 发到旧地址去了 少一个包裹 派送超时 被退回发货地 冷链断了冰袋全化 配送员态度恶劣 还没收到货就自动确认收货"
)
_WRONG = words(
    "图片和实物差太多 尺码标错 保质期只剩半个月 生产日期被涂改 不是正品 配件型号对不上 说是全新却有使用痕迹 电压不符 "
    "功能和宣传的不一样 分量不足 称重少了半斤 味道不对 口味发错 发来的是旧款 规格比标的小 没有中文说明 缺少合格证 缺安装工具 "
    "激活日期早于购买日期 里面混着别的型号 保修卡没盖章 二维码扫不出来 送的样品是空的 颜色深浅不一 吃了拉肚子 皮肤过敏"
)
_BILLS = words(
    "多扣了一次钱 优惠券没生效 降价不肯补差价 付款成功却显示未支付 开票抬头写错 会员自动续费 运费算多了 退货后钱没到账 "
    "定金不退 红包没返 分期多出一期 积分没到账 税号开错 以旧换新没抵扣"
)
_SERVICE = words(
    "客服一直不回复 安装师傅爽约 售后互相推诿 维修两次还是老毛病 说好上门却没人来 电话打不进去 拒绝保修 退货申请被驳回 "
    "换来的还是坏的 师傅乱收费 账号登不上 系统升级后用不了 软件闪退 收不到验证码 固件升不了级 搜不到设备 密码重置不了 数据全没了"
)
_COLOURS = words("黑色 白色 红色 蓝色 灰色 粉色 米色 绿色 咖啡色 银色")
_SIZES = ("S码", "M码", "L码", "XL码", "38码", "40码", "42码", "单人", "双人", "大号", "小号")
_LOST = words("螺丝 充电头 遥控器 垫片 滤网 收纳袋 赠送的杯子 安装件 钥匙 电池 支撑脚 连接管 吸管 备用灯泡")


def free_problem(random: Random) -> str:
    """What a customer says is wrong."""
    roll = random.random()
    if roll < 0.24:
        return random.choice(_PARTS) + random.choice(("", "", "", "", "居然", "又")) + random.choice(_STATES)
    if roll < 0.42:
        return random.choice(_AFTER) + random.choice(_THEN)
    if roll < 0.54:
        return random.choice(_PARCEL)
    if roll < 0.68:
        return random.choice(_WRONG)
    if roll < 0.76:
        return random.choice(_BILLS)
    if roll < 0.86:
        return random.choice(_SERVICE)
    if roll < 0.93:
        wanted, got = random.sample(random.choice((_COLOURS, _SIZES)), 2)
        return random.choice((f"要的是{wanted}发来的是{got}", f"订{wanted}却收到{got}", f"把{wanted}发成{got}了", f"{wanted}错发{got}"))
    lost = random.choice(_LOST)
    return random.choice((f"少了{random.choice('一两三四')}个{lost}", f"没有{lost}", f"{lost}没给", f"忘记放{lost}", f"{lost}数目不对"))
