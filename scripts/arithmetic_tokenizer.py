"""The tokenizer of the arithmetic Llama, from standard `tokenizers` components only.

A digit is one token tagged with its power of ten: `142` is read as `1² 4¹ 2`, so that a column of a sum has the same
ids whatever the length of the number. The normalizer writes the tags and the decoder removes them again. Words of the
corpus are whole tokens; any other word is spelt in letters, so that every lower-case Latin text encodes without `<unk>`.
"""

import json
from collections import Counter
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

PAD, BOS, EOS, UNK = "<pad>", "<s>", "</s>", "<unk>"
DIRECT, CHAIN, PROGRAM, CANDIDATE, REFINE = "<|direct|>", "<|chain|>", "<|program|>", "<|candidate|>", "<|refine|>"
SPECIAL = [PAD, BOS, EOS, UNK, DIRECT, CHAIN, PROGRAM, CANDIDATE, REFINE]
POWERS = "¹²³⁴"
PUNCTUATION = list("+-*/=.,;:?!()<>%$'\"&")
LETTERS = [chr(ord("a") + i) for i in range(26)]


def build(words):
    """A tokenizer whose whole words are `words`, in that order."""
    pieces = SPECIAL + PUNCTUATION + [digit + power for power in ["", *POWERS] for digit in "0123456789"]
    pieces += LETTERS + ["##" + letter for letter in LETTERS]
    pieces += [word for word in dict.fromkeys(words) if word not in set(pieces)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNK, continuing_subword_prefix="##", max_input_chars_per_word=64))

    def tag(power, sign):
        following = "{%d,}" % power if power == len(POWERS) else "{%d}" % power
        return normalizers.Replace(Regex(rf"(?<=[0-9])(?=[0-9]{following}(?![0-9]))"), sign)

    # The highest power comes first: every rule looks ahead over digits that no later rule has tagged yet.
    tags = [tag(power, POWERS[power - 1]) for power in range(len(POWERS), 0, -1)]
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), *tags])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(Regex(f"[0-9][{POWERS}]?"), "isolated")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.WordPiece(prefix="##", cleanup=False), decoders.Fuse(), decoders.Replace(Regex(f"[{POWERS}] ?"), "")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, vocabulary[BOS])]
    )
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def words_of(problems, at_least):
    """The words that occur at least `at_least` times in the texts of `problems`, the most frequent first, ties in alphabetical order."""
    counts = Counter()
    split = pre_tokenizers.BertPreTokenizer()
    for problem in problems:
        for text in (problem["question"], problem["chain"], problem.get("program") or ""):
            counts.update(word for word, _ in split.pre_tokenize_str(text.lower()) if word.isalpha() and word.isascii())
    return [word for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= at_least]


def save(tokenizer, folder):
    """Writes tokenizer.json and tokenizer_config.json."""
    folder = Path(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "unk_token": UNK,
        "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
