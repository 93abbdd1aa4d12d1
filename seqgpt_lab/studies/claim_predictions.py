"""What the planner says of each claim on a rig, and which claims its maker's own figures rule out; measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from seqgpt_lab.studies.costs import ITEM_BYTES, Machine, pass_seconds
from seqgpt_lab.studies.passes import Group, Pass, Workload
from seqgpt_lab.studies.plan_memory import memory
from seqgpt_lab.studies.planner import SEQGPT_560M, Plan, best, compare, plan
from seqgpt_lab.studies.rigs import Rig

# Ids of a common answer: a few short fields.
_OUTPUT = 40
# A label, its colon, a value of two ids and a line end, three times.
_FEWEST_IDS = 15


@dataclass(frozen=True, slots=True)
class Prediction:
    """What to expect, in a sentence; impossible: why no machine of the rig's published figures can do what is claimed, else empty.

    What is impossible rests on no figure that the rig only estimates.
    """

    text: str
    impossible: str = ""


def _memory(rig: Rig, claimed: Mapping[str, float]) -> Prediction:
    """Does the claimed size exist on the card, and what would the model take? A rig of one card is told what each of two would hold.

    The memory of a machine without cards rules nothing out: the claim is about cards.
    """
    work, place = Workload.of(16, 512, _OUTPUT), "card" if rig.kind == "cuda" else "process"
    one, two = (memory(Machine(rig, SEQGPT_560M, "fp16", ranks), work) for ranks in (1, 2))
    text = (
        f"{one.total / 1e9:.2f} GB on one {place} and {two.total / 1e9:.2f} GB on each of two, at batch 16 and length 512 "
        f"(weights {one.weights / 1e9:.2f} GB, up to {one.kept / 1e9:.2f} GB of texts kept); the share {two.total / one.total:.2f}"
    )
    over = rig.kind == "cuda" and claimed["one_card_GB"] * 1e9 > rig.memory_bytes and "memory_bytes" not in rig.uncertain
    return Prediction(
        text,
        f"a card of the rig has {rig.memory_bytes / 1e9:.0f} GB, less than the {claimed['one_card_GB']:g} claimed on one" if over else "",
    )


def _latency(rig: Rig, _claimed: Mapping[str, float]) -> Prediction:
    plain, grounded = (_best_seconds(rig, Workload.of(1, 256, _OUTPUT, name)) for name in ("plain", "grounded"))
    return Prediction(f"{plain * 1e3:.0f} ms with one id a pass, {grounded * 1e3:.0f} ms with drafts and grounding, for {_OUTPUT} ids")


def _throughput(rig: Rig, claimed: Mapping[str, float]) -> Prediction:
    """The rig's best, and the least time that its published figures allow for the prompt and one pass an id."""
    work = Workload.of(16, 512, _OUTPUT)
    drafted = Workload.of(16, 512, _OUTPUT, "grounded")
    plain, quick = (best(compare(rig, SEQGPT_560M, one, "fp16"), "throughput")[0].documents_a_second for one in (work, drafted))
    if not {"bandwidth", "fp16"} <= rig.published.keys():
        return Prediction(f"{plain:.0f} documents/s with one id a pass, {quick:.0f} with drafts and grounding, for {_OUTPUT} ids")
    most = work.batch * rig.devices / floor_seconds(rig, work)
    claim = claimed["documents_a_second"]
    left = work.batch * rig.devices / claim - floor_seconds(rig, replace(work, passes=1))
    ids = max(0, int(left * rig.published["bandwidth"] / Machine(rig, SEQGPT_560M, "fp16").weight_bytes))
    text = (
        f"{plain:.0f} documents/s with one id a pass, {quick:.0f} with drafts and grounding, for {_OUTPUT} ids; one a pass cannot exceed "
        f"{most:.0f} by the published figures, which at {claim:g} documents/s leave {ids} ids an answer"
    )
    why = (
        f"at {claim:g} documents/s the published bandwidth and FLOP/s of {rig.devices} card(s) leave {ids} ids an answer, one a pass, "
        f"as the article decodes; three labels with their values take more than {_FEWEST_IDS}"
    )
    return Prediction(text, why if ids < _FEWEST_IDS else "")


def floor_seconds(rig: Rig, work: Workload) -> float:
    """Least time of a batch on one card of the rig: its published figures fully used, nothing else counted.

    Nor the last layer for the prompt, of which only the last position's answer is wanted.
    """
    machine = Machine(rig, SEQGPT_560M, "fp16")
    layers = (SEQGPT_560M.layers - 1) * machine.layer_bytes
    tokens, item = work.batch * work.length, ITEM_BYTES["fp16"]
    prompt = max(machine.weight_bytes / rig.published["bandwidth"], 2 * tokens * layers / item / rig.published["fp16"])
    return prompt + (work.passes - 1) * machine.weight_bytes / rig.published["bandwidth"]


def _embedding_cache(rig: Rig, claimed: Mapping[str, float]) -> Prediction:
    """An embedding is one row of a table a token: what looking it up costs beside the whole.

    Never impossible: published figures say how quick looking up can be, and not how slow. A program that starts an operation of its own
    for every row gains from keeping them; how slowly it has to look up for the factor claimed, the published figures tell.
    """
    work = Workload.of(16, 512, _OUTPUT)
    found = plan(rig, SEQGPT_560M, work, check=False)
    rows = 2 * work.batch * work.length * SEQGPT_560M.hidden_size * ITEM_BYTES["fp16"]
    share = rows / rig.elementwise_bandwidth / found.seconds
    cached = plan(rig, SEQGPT_560M, replace(work, cached=work.length - 1), check=False)
    text = (
        f"looking embeddings up is {share:.2%} of the time, so keeping them gains a factor of {1 / (1 - share):.4f}; keeping the keys and "
        f"values of a whole repeated prompt would gain {found.seconds / cached.seconds:.2f}"
    )
    if {"bandwidth", "fp16"} <= rig.published.keys():
        slowest = rows / ((claimed["factor"] - 1) * floor_seconds(rig, replace(work, passes=1)))
        text += (
            f"; for a factor of {claimed['factor']:g} the published figures would have them looked up at {slowest / 1e9:.2g} GB/s or less, "
            f"{slowest / rig.published['bandwidth']:.2%} of the bandwidth"
        )
    return Prediction(text)


def _dynamic_padding(rig: Rig, _claimed: Mapping[str, float]) -> Prediction:
    """Batches of 16 whose longest text has 256 ids, padded to 512 or not; and of one."""
    saved = {
        batch: plan(rig, SEQGPT_560M, Workload.of(batch, 512, _OUTPUT), check=False).seconds
        - plan(rig, SEQGPT_560M, Workload.of(batch, 256, _OUTPUT), check=False).seconds
        for batch in (1, 16)
    }
    return Prediction(
        f"longest text 256 ids instead of 512: {saved[16] * 1e3:.0f} ms saved at batch 16, {saved[1] * 1e3:.1f} ms at batch 1"
    )


def _fp16_share(rig: Rig, _claimed: Mapping[str, float]) -> Prediction:
    work = Workload.of(16, 512, _OUTPUT)
    half, whole = (plan(rig, SEQGPT_560M, work, dtype=dtype, check=False).seconds for dtype in ("fp16", "fp32"))
    return Prediction(f"FP16 takes {1 - half / whole:.0%} off FP32's time at batch 16, length 512 ({whole / half:.2f} times as fast)")


def _long_text(rig: Rig, _claimed: Mapping[str, float]) -> Prediction:
    """Ten thousand characters are more ids than the limit lets in, whatever the machine."""
    window = pass_seconds(Machine(rig, SEQGPT_560M, "fp16"), Pass((Group(4, 1024, 1024),), 4, 4)).total
    return Prediction(
        f"1,024 ids hold some 1,000 to 2,000 characters, so five to ten windows a document, {window * 1e3:.0f} ms for the prompts of four; "
        "read in one piece, at most a fifth of the document would be seen"
    )


def _storage(_rig: Rig, _claimed: Mapping[str, float]) -> Prediction:
    weights = 1.1e9
    return Prediction(
        f"1.1 GB: {weights / 0.55e9:.1f} s from SATA (its limit is 0.55 GB/s), {weights / 5e9:.2f} s from NVMe at 5 GB/s, if reading is all"
    )


def _best_seconds(rig: Rig, work: Workload) -> float:
    chosen: Plan = best(compare(rig, SEQGPT_560M, work, "fp16"), "latency")[0]
    return chosen.seconds


PREDICTIONS: Mapping[str, Callable[[Rig, Mapping[str, float]], Prediction]] = {
    "memory": _memory,
    "latency": _latency,
    "throughput": _throughput,
    "embedding-cache": _embedding_cache,
    "dynamic-padding": _dynamic_padding,
    "fp16-share": _fp16_share,
    "long-text": _long_text,
    "storage": _storage,
}
