"""The tokenizer against the package tokenizers: same ids, same text, whole and streamed."""

import json
import random

import pytest
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from support import fails, run_probe

SCRIPTS = [(0x20, 0x7e), (0xa0, 0x17f), (0x370, 0x3ff), (0x400, 0x4ff), (0x5d0, 0x5ea), (0x620, 0x64a), (0x900, 0x97f),
           (0xe00, 0xe5b), (0x1100, 0x11ff), (0x3040, 0x30ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0x1f300, 0x1f64f),
           (0x300, 0x33f), (0x2000, 0x206f), (0x660, 0x669), (0x2160, 0x2188)]
WORDS = ["the", "The", "don't", "I'LL", "we've", " ", "  ", "\n", "\r\n", "\t", "\n\n ", "12345", "3.14", "a_b", "...", "?!",
         "窗前明月光", "疑是地上霜", "，", "。", "привет", "مرحبا", "👩‍👩‍👧", "🇫🇷", "é", "e\u0301", "\u1100\u1161", "ﬁ", "\u00a0",
         "\u3000", "\u180e", "\u200b", "\x00", "<s>", "</s>", "<|user|>", "<pad>", "[W]", "[L]", "\ufffd", "ſ", "I'ſ", "½", "Ⅷ"]

GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(use_regex, add_prefix_space=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=use_regex)


PRE_TOKENIZERS = {
    "gpt2": byte_level(True),
    "gpt2_space": byte_level(True, add_prefix_space=True),
    "gpt4": pre_tokenizers.Sequence([split(GPT4), byte_level(False)]),
    "deepseek": pre_tokenizers.Sequence([split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK), byte_level(False)]),
    "literal": pre_tokenizers.Sequence([pre_tokenizers.Split("a.", "isolated"), byte_level(True)]),
}


def draw(random_, longest):
    """A string of bytes: words and characters of several scripts, now and then broken."""
    text = b""
    for _ in range(random_.randint(0, longest)):
        kind = random_.random()
        if kind < 0.5:
            text += random_.choice(WORDS).encode()
        else:
            first, last = random_.choice(SCRIPTS)
            text += "".join(chr(random_.randint(first, last)) for _ in range(random_.randint(1, 6))).encode()
        if random_.random() < 0.3:
            text += b" "
    if random_.random() < 0.2 and text:
        broken = bytearray(text)
        broken[random_.randrange(len(broken))] = random_.randint(0x80, 0xff)
        text = bytes(broken)
    return text


def make(name, nfc=False, template=False, ignore_merges=False):
    random_ = random.Random(1)
    tokenizer = tokenizers.Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = PRE_TOKENIZERS[name]
    tokenizer.decoder = decoders.ByteLevel()
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(vocab_size=1500, show_progress=False, special_tokens=["<s>", "</s>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([draw(random_, 30).decode(errors="replace") for _ in range(1500)], trainer)
    tokenizer.add_special_tokens([tokenizers.AddedToken("<|user|>", lstrip=True), tokenizers.AddedToken("<pad>", rstrip=True)])
    tokenizer.add_tokens([tokenizers.AddedToken("[W]", single_word=True), tokenizers.AddedToken("[L]", normalized=False)])
    if template:
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])])
    return tokenizer


CASES = {
    "gpt2": ("gpt2", {}), "gpt2_space": ("gpt2_space", {}), "gpt4_nfc": ("gpt4", {"nfc": True}),
    "gpt4_ignore_merges": ("gpt4", {"ignore_merges": True, "template": True}),
    "deepseek": ("deepseek", {"template": True}), "literal": ("literal", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_same_as_tokenizers(case, tmp_path):
    name, settings = CASES[case]
    tokenizer = make(name, **settings)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    random_ = random.Random(case)
    texts = [draw(random_, 12) for _ in range(1990)] + [draw(random_, 400) for _ in range(9)] + [b"ab" * 5000]
    (tmp_path / "texts").write_text("".join(text.hex() + "\n" for text in texts))
    lines = run_probe("tokenizer_probe", path, tmp_path / "texts").splitlines()
    assert len(lines) == len(texts)
    broken = 0
    for text, line in zip(texts, lines):
        found = json.loads(line)
        repaired = text.decode(errors="replace")
        broken += repaired.encode() != text
        expected = tokenizer.encode(repaired).ids
        assert found["ids"] == expected, text
        decoded = tokenizer.decode(expected, skip_special_tokens=False).encode()
        assert bytes.fromhex(found["text"]) == decoded, text
        assert found["streamed"] == found["text"], text
    assert broken > 100


def test_older_form_of_merges(tmp_path):
    tokenizer = make("gpt2")
    file = json.loads(tokenizer.to_str())
    file["model"]["merges"] = [" ".join(pair) for pair in file["model"]["merges"]]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(file))
    (tmp_path / "texts").write_text(b"don't you see the 12345".hex() + "\n")
    found = json.loads(run_probe("tokenizer_probe", path, tmp_path / "texts"))
    assert found["ids"] == tokenizer.encode("don't you see the 12345").ids


def change(file, path, value):
    *parents, last = path.split("/")
    for key in parents:
        file = file[key]
    file[last] = value


@pytest.mark.parametrize("path, value, message", [
    ("model/type", "WordPiece", 'model: type is "WordPiece": only BPE'),
    ("model/byte_fallback", True, "model: byte_fallback is true"),
    ("model/unk_token", "<s>", 'model: unk_token is "<s>": must be null'),
    ("model/dropout", 0.1, "model: dropout is 0.1"),
    ("model/end_of_word_suffix", "</w>", "model: end_of_word_suffix"),
    ("model/merges", [["a", "\u0000"]], "both tokens and what they become must be in vocab"),
    ("model/merges", [7], "7 is not a pair of tokens"),
    ("model/vocab", {"a": -1}, "model: vocab: 'a' is -1"),
    ("normalizer", {"type": "Lowercase"}, 'normalizer: type is "Lowercase": only NFC'),
    ("pre_tokenizer", None, "pre_tokenizer is missing"),
    ("pre_tokenizer", {"type": "Metaspace"}, 'pre_tokenizer: type is "Metaspace"'),
    ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}, "cannot be read: missing closing"),
    ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Removed"}, 'behavior "Removed"'),
    ("post_processor", {"type": "BertProcessing"}, 'post_processor: type is "BertProcessing"'),
    ("decoder", {"type": "WordPiece"}, 'decoder: type is "WordPiece"'),
    ("added_tokens", [{"id": 1}], "added_tokens: content of"),
])
def test_refusals_name_file_and_key(tmp_path, path, value, message):
    file = json.loads(make("gpt2").to_str())
    change(file, path, value)
    target = tmp_path / "tokenizer.json"
    target.write_text(json.dumps(file))
    (tmp_path / "texts").write_text("")
    assert message in fails("tokenizer_probe", target, tmp_path / "texts", names=target)


def test_not_json(tmp_path):
    target = tmp_path / "tokenizer.json"
    target.write_text("{")
    (tmp_path / "texts").write_text("")
    assert "is not a JSON object" in fails("tokenizer_probe", target, tmp_path / "texts", names=target)
