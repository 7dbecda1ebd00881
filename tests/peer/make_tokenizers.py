"""Trains the byte-level BPE tokenizers of the tests, and records what Hugging Face's tokenizers library encodes with them.

    ./build.sh peer make_tokenizers OUT

OUT gets a tokenizer.json of each kind (llama3: a begin mark, whole words first, digits by threes; qwen: NFC, digits one by one, no
begin mark; gpt2: the byte-level step's own pattern, merges written as strings) and bytelevel.jsonl: 1,000 strings, each with the ids
of every kind. The training text is made here, so the same version of the library gives the same files. Imports: tokenizers.
"""
import argparse
import json
import os
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
WORDS = ("a the picture image shows red blue circle square left right of above below is are what colour how many objects there "
         "describe dog cat person street table naïve café über straße señor привет мир картина 東京 写真 世界 こんにちは 안녕 세계 "
         "Ελλάδα שלום مرحبا नमस्ते दुनिया USER ASSISTANT Human Assistant user assistant system it's I'm don't we'll they've he'd "
         "10 300 2026 3.14 1,000 e.g. i.e. path/to/file.txt C# <tag> {json: 1} (brackets) [list] \"quoted\" 'single' a_b x-y ... --- ###").split()
ODD = ["", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "a\n\n\nb", "a \n b", "a  b", " lead", "trail ", "tab\there",
       "don't DON'T Don'T i'LL WE'RE you'Ve 'S", "it's'll", "''s", "0", "12", "123", "1234", "12345678", "1.5e-3", "½ ² Ⅷ ٣",
       "𝒜𝒷𝒸 𝟙𝟚𝟛 🙂🙃 👩‍👩‍👧 🇩🇪", "e\u0301 n\u0303 a\u0308\u0304 \u1100\u1161\u11a8 \u212b \u2126 \ufb1d q\u0307\u0323", "\u00a0nbsp\u2003em\u3000",
       "\u0000\u0001\u007f\u0085\u200b\ufeff", "\u2028x\u2029", "<|im_start|>user\nhi<|im_end|>\n", "<|begin_of_text|>x<|end_of_text|>",
       "<|endoftext|>", "a<|im_end|>b<|im_end|>", "<|im_start", "<image>", "<image>\nWhat?", "</s>", "<s>", "ſ K Å", "\u0b95\u0bca", "ｆｕｌｌ",
       "क़ ड़ ়", "x" * 300, "ab " * 100, "!?!?..,,;;::", "###Human: hi###", "### ", "a###b", "\u0344\u0345", "가각힣", "\U0001d15e\U0002f800"]


def text(rng, words):
    parts = []
    for _ in range(words):
        parts.append(rng.choice(WORDS))
        parts.append(rng.choice([" ", " ", " ", " ", " ", ", ", ". ", "\n", "\n\n", "  ", ": ", "? ", "", " \n", "\t", "! "]))
    return "".join(parts)


def train(corpus, size, special, pattern, normalizer=None, legacy_merges=False):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = (pre_tokenizers.ByteLevel(add_prefix_space=False) if pattern is None else pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    return tokenizer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    out = parser.parse_args().out
    os.makedirs(out, exist_ok=True)
    rng = random.Random(5)
    corpus = [text(rng, 40) for _ in range(400)]
    kinds = {
        "llama3": train(corpus, 700, ["<|begin_of_text|>", "<|end_of_text|>"], LLAMA3),
        "qwen": train(corpus, 800, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], QWEN, normalizers.NFC()),
        "gpt2": train(corpus, 600, ["<|endoftext|>"], None),
    }
    bos = kinds["llama3"].token_to_id("<|begin_of_text|>")
    kinds["llama3"].post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing("<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)])])
    for name, tokenizer in kinds.items():
        content = json.loads(tokenizer.to_str())
        if name == "llama3":
            content["model"]["ignore_merges"] = True
        if name == "gpt2":
            content["model"]["merges"] = [m if isinstance(m, str) else " ".join(m) for m in content["model"]["merges"]]
        with open(os.path.join(out, name + ".json"), "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, separators=(",", ":"))
        kinds[name] = Tokenizer.from_file(os.path.join(out, name + ".json"))
    strings = ODD + [text(rng, rng.randint(1, 12)) for _ in range(700)]
    while len(strings) < 1000:  # Random characters: what no corpus has.
        strings.append("".join(chr(rng.choice([rng.randint(32, 126), rng.randint(0xa0, 0x24ff), rng.randint(0x3040, 0x9fff),
                                               rng.randint(0x1f300, 0x1f64f), rng.choice(b" \n'\t")])) for _ in range(rng.randint(1, 16))))
    with open(os.path.join(out, "bytelevel.jsonl"), "w", encoding="utf-8") as file:
        for string in strings:
            line = {"text": string, **{name: t.encode(string, add_special_tokens=False).ids for name, t in kinds.items()}}
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    print(f"{len(strings)} strings, " + ", ".join(f"{name} {t.get_vocab_size()}" for name, t in kinds.items()))


main()
