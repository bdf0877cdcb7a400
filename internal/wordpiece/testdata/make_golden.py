"""Writes golden.json.gz with PyPI `tokenizers` 0.20.3: the ids of 2,000 varied strings, and for each block of 4,096
code points a digest of the ids that every one of them gets alone, between letters and before an accent.

    python make_golden.py TOKENIZER_JSON      (the tokenizer.json of all-MiniLM-L6-v2)

A string is stored in base64, because some hold bytes that are not UTF-8; the reference sees U+FFFD for these.
"""

import base64
import gzip
import hashlib
import json
import pathlib
import random
import struct
import sys

from tokenizers import Tokenizer

BLOCK = 4096
rng = random.Random(20240611)

WORDS = """the a patient chest radiograph shows left lower lobe consolidation with small pleural effusion no pneumothorax
cough fever 38.5 mg/kg q.i.d. b.i.d. 2,5-dimethoxy hypertension unaffable electroencephalography otorhinolaryngology
What color is the triangle? is there a circle in the image yes no COVID-19 SpO2 95% don't won't it's O'Neill e-mail
https://example.org/a?b=c&d=%20 user@example.com #hashtag $12.50 3.14159 1e-10 0x7fff AKI->CKD (s/p CABG) [sic] {x} <br/>
naïve café résumé Ångström fiancée coöperate Übermaß straße groß œuvre Æsir Þórr łódź Žižek Çelik İstanbul ıspanak
DIYARBAKIR I İ ı i Iğdır ŞİŞLİ ΑΒΓ ὈΔΥΣΣΕΎΣ ὈΔΥΣΣΕΎΣ σίγμα ΣΊΣΥΦΟΣ Привет Ёлка ЙОД україна їжак български Ѐ
中文 胸部X光片 无异常 病人 肺炎 東京都 繁體字 日本語 カタカナ ガギグ ひらがな ば パ ｶﾞ ﾊﾟ 한국어 안녕하세요 각 값 한글 ᄒᆞᆫ글 ㄱㄴㄷ
مرحبا بالعالم العَرَبِيَّة لا إلـه قُرْآن فارسی گچپژ اردو שלום עִבְרִית בְּרֵאשִׁית हिन्दी नमस्ते क्षत्रिय বাংলা தமிழ் తెలుగు ไทยแลนด์ น้ำ ລາວ မြန်မာ ខ្មែរ
ქართული ᲥᲐᲠᲗᲣᲚᲘ հայերեն አማርኛ ᠮᠣᠩᠭᠣᠯ བོད་ཡིག Tiếng Việt đường phố Nguyễn Ệ ệ ǖǘǚǜ Ḽ ḽ Ḿ ɐɑɒ ˈhɛloʊ
😀 😂🤣 👨‍👩‍👧‍👦 👩🏽‍⚕️ 🏳️‍🌈 🇩🇪🇺🇸 1️⃣ ☎️ ❤️ ✈ ™ © ® № ½ ¼ ² ³ ₂ ℃ Å Ω µ μ ≠ ≤ ≮ ∞ ∑ √ ∂ → ⇒ € £ ¥ ₹ ₿ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒳 Ⓐ ① ㎎ ㎏ ﬁ ﬀ ﬃ ｆｕｌｌ Ｗｉｄｔｈ ！ ， 。 「」 、 ・ … — – ‐ ‑ “quoted” ‘single’ «guillemets» ¿qué? ¡hola!
[CLS] [SEP] [MASK] [PAD] [UNK] [cls] [SEP [[SEP]] x[MASK]y ##ing ## # unaffable##able __init__ a_b `code` ~tilde~ ^hat |pipe| \\back\\slash""".split()

SPACES = [chr(c) for c in [9, 10, 13, 32, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]]
CONTROLS = [chr(c) for c in [0, 1, 7, 8, 11, 12, 27, 31, 127, 0x80, 0x85, 0x9F, 0xAD, 0x600, 0x61C, 0x180E, 0x200B, 0x200C,
            0x200D, 0x200E, 0x200F, 0x202A, 0x202E, 0x2060, 0x2066, 0xFEFF, 0xFFF9, 0xFFFD, 0xE000, 0xF8FF, 0xE0001, 0xF0000, 0x10FFFD]]
MARKS = [chr(c) for c in [0x300, 0x301, 0x302, 0x303, 0x307, 0x308, 0x30A, 0x316, 0x323, 0x327, 0x328, 0x338, 0x345, 0x34F,
         0x360, 0x483, 0x5B0, 0x5BF, 0x64B, 0x651, 0x670, 0x93C, 0x94D, 0x903, 0x9BE, 0xE31, 0xE38, 0x1AB0, 0x1ABF, 0x20D0, 0x20DD,
         0x302A, 0x302E, 0x3099, 0x309A, 0xFE0F, 0xFE20, 0x1D165, 0x1D16D, 0x10A0F, 0x1E8D0, 0x1E94A, 0xE0100]]
BAD_BYTES = [b"\x80", b"\xbf", b"\xc0\x80", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\x9f\x98",
             b"\xf4\x90\x80\x80", b"\xf5", b"\xff\xfe", b"\xfe", b"\xe0\x80\xaf"]
PLANES = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x52F), (0x530, 0x8FF), (0x900, 0x109F), (0x10A0, 0x1FFF), (0x2000, 0x2BFF),
          (0x2C00, 0x31FF), (0x3200, 0x9FFF), (0xA000, 0xABFF), (0xAC00, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x1FFFF),
          (0x20000, 0x2FFFF), (0x30000, 0x10FFFF)]


def word():
    return rng.choice(WORDS)


def random_runes(n):
    low, high = rng.choice(PLANES)
    return "".join(chr(c) for c in (rng.randint(low, high) for _ in range(n)) if not 0xD800 <= c < 0xE000)


def sentence():
    return " ".join(word() for _ in range(rng.randint(1, 24)))


def spaced():
    return "".join(word() + "".join(rng.choices(SPACES, k=rng.randint(1, 3))) for _ in range(rng.randint(1, 10)))


def sprinkled(what):
    out = []
    for c in sentence():
        out.append(c)
        if rng.random() < 0.2:
            out.append(rng.choice(what))
    return "".join(out)


def long_word():
    n = rng.choice([17, 18, 19, 99, 100, 101, 102, 150, 400, 1000, 5000])
    base = rng.choice(["a", "é", "中", "한", "ß", "😀", "ab", "antidisestablishmentarianism", "#", "İ", "e\u0301"])
    return rng.choice(["", "x ", "."]) + (base * n)[:n] + rng.choice(["", " y", "!"])


def stacked():
    return "".join(rng.choice("aeonAZéçй한") + "".join(rng.choices(MARKS, k=rng.randint(0, 40))) for _ in range(rng.randint(1, 8)))


def cased():
    return "".join(rng.choice([str.upper, str.lower, str.title, str.swapcase])(word()) for _ in range(rng.randint(1, 6)))


def glued():
    return "".join(word() for _ in range(rng.randint(2, 6)))


def broken():
    parts = [rng.choice([word().encode(), rng.choice(BAD_BYTES), b" "]) for _ in range(rng.randint(1, 12))]
    return b"".join(parts)


def strings():
    fixed = ["", " ", "\n", "\t \r\n", "\u0000", "a", "[CLS]", "[SEP][SEP]", "##", "##a", "a" * 100, "a" * 101, "\u0130", "\u0301",
             "e\u0301", "\u1112\u1161\u11ab", "\ufeffBOM", "a\u200db", "\u00adsoft\u00adhyphen", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
             "\u2260", "\u037e", "\u1fef", "\uf900\u2f800", "\u0958", "\U00011938", "\u1734", "\u166d", "\u2e43", "a\u0338b", "[S\u0000EP]",
             "a" * 99 + "\u0301" * 50 + "b", "\u0301" * 300, "中" * 300, "!" * 300, "x" * 20000]
    yield from fixed
    kinds = [sentence, sentence, spaced, lambda: sprinkled(CONTROLS), lambda: sprinkled(MARKS), lambda: sprinkled(SPACES + CONTROLS),
             long_word, stacked, cased, glued, broken, lambda: random_runes(rng.randint(1, 60)),
             lambda: " ".join(random_runes(rng.randint(1, 8)) for _ in range(rng.randint(1, 10)))]
    for i in range(2000 - len(fixed)):
        yield kinds[i % len(kinds)]()


tokenizer = Tokenizer.from_file(sys.argv[1])
tokenizer.no_truncation()
tokenizer.no_padding()


def ids(text):
    return tokenizer.encode(text, add_special_tokens=False).ids


cases = []
for text in strings():
    raw = text if isinstance(text, bytes) else text.encode()
    cases.append({"text": base64.b64encode(raw).decode(), "ids": ids(raw.decode("utf-8", "replace"))})

blocks = []
for start in range(0, 0x110000, BLOCK):
    digest = hashlib.sha256()
    for code in range(start, start + BLOCK):
        if 0xD800 <= code < 0xE000:
            continue
        c = chr(code)
        found = ids(f"{c} a{c}b {c}\u0301c")
        digest.update(struct.pack(f"<{len(found) + 1}H", len(found), *found))
    blocks.append(digest.hexdigest()[:16])

golden = json.dumps({"strings": cases, "block": BLOCK, "blocks": blocks}, separators=(",", ":")).encode()
path = pathlib.Path(__file__).parent / "golden.json.gz"
path.write_bytes(gzip.compress(golden, 9, mtime=0))
print(len(cases), "strings,", len(blocks), "blocks,", path.stat().st_size, "bytes")
