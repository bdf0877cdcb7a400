"""Writes golden.json: texts and the ids that PyPI tokenizers gives for the vocabulary of the published GGUF file.

    python make_golden.py smollm2-135m-instruct.gguf > golden.json

Needs tokenizers 0.20.3, gguf 0.10.0, sentencepiece (which gguf imports).
"""
import json
import random
import sys

from gguf import GGUFReader
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

fields = GGUFReader(sys.argv[1]).fields


def strings(key):
    field = fields[key]
    return [bytes(field.parts[i]).decode() for i in field.data]


tokens = strings("tokenizer.ggml.tokens")
merges = [tuple(m.split(" ")) for m in strings("tokenizer.ggml.merges")]
tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Digits(individual_digits=True),
    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
])
tokenizer.decoder = decoders.ByteLevel()

texts = [
    "", " ", "  ", "\n", "a", " a", "  a", "a  ", "\t\n x \r\n", "The heart is enlarged.", "No pleural effusion is seen.",
    "The cardiothoracic ratio is 0.57.", "12345 6 7.8", "x  12", "a1b2 c3", "don't we'll I'd they've it's 'tis ''s", "DON'T",
    "co-operate e.g. (i.e., this)!?", " ...", "a ...b", "<|im_start|>user", "naïve café Ünïcödé", "心脏不大。肺野清晰", "日本語 テスト",
    "🙂 emoji 👩‍⚕️", "a\u00a0b\u2003c", "\u0000\u0001\u0004", "x\n\n\ny", "x \n y", "½ ² Ⅷ ٣", "{ctr} {share_right}", "   leading and trailing   ",
    "supercalifragilisticexpialidocious", "AAAAAAAAAAAAAAAAAAAAAAAA", "http://example.org/a?b=c&d=%20", "\u0301combining",
]
random.seed(1)
pieces = ["the", " lung", "s", "'s", "'", " ", "  ", "\n", "\t", "7", "42", ".", ",", "-", "é", "心", " Opacity", "Left", "(", ")", "\u00a0", "🙂", "'ll", "_", "\\"]
texts += ["".join(random.choices(pieces, k=random.randint(1, 12))) for _ in range(300)]
encoded = []
for text in texts:
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text.replace("\u0004", ""), text  # no token has this byte
    encoded.append({"text": text, "ids": ids})
json.dump(encoded, sys.stdout, ensure_ascii=True, separators=(",", ":"))
print()
