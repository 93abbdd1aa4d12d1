"""Rows that train copying and nothing else; knows no documents."""

from __future__ import annotations

from random import Random

from tokenizers import Tokenizer

from seqgpt_lab.embedded.corpus.questions import Question, answer_line
from seqgpt_lab.embedded.packing import PackedRow, pack
from seqgpt_lab.embedded.tokenizer import token_id


def repeat_drill(tokenizer: Tokenizer, random: Random) -> PackedRow:
    """Random tokens, then the same again: the barest task that needs copying (an induction head)."""
    ids = [random.randrange(4, tokenizer.get_vocab_size() - 1) for _ in range(random.randint(5, 20))]
    count = len(ids)
    targets = [-100] * count + [*ids[1:], token_id(tokenizer, "</s>")]
    sources = [(count + at, at + 1) for at in range(count - 1)]
    return PackedRow(ids + ids, list(range(2 * count)), [0] * (2 * count), targets, [-100] * (2 * count), sources)


def form_drill(tokenizer: Tokenizer, random: Random) -> PackedRow:
    """A form of meaningless keys, each with one to three values, and questions about some: copying by key, with nothing to know."""
    vocabulary = range(300, tokenizer.get_vocab_size() - 1)

    def word(least: int, most: int) -> str:
        return tokenizer.decode([random.choice(vocabulary) for _ in range(random.randint(least, most))]).replace("�", "").strip() or "空"

    pairs = {word(2, 4): [word(2, 9) for _ in range(random.choice((1, 1, 2, 3)))] for _ in range(random.randint(3, 8))}
    colon, joint, comma = random.choice("：: 为"), random.choice("，\n；。 "), random.choice("、/和")
    text = joint.join(f"{key}{colon}{comma.join(values)}" for key, values in pairs.items())
    questions = []
    for _ in range(2):
        labels = random.sample(list(pairs), k=random.randint(1, min(5, len(pairs))))
        if random.random() < 0.3:
            labels.insert(random.randrange(len(labels) + 1), word(2, 4))
        lines = "".join(answer_line(label, pairs.get(label, ())) for label in labels)
        questions.append(Question(text, "抽取", tuple(labels), lines))
    return pack(tokenizer, text, questions)
