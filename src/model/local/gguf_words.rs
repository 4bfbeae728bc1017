//! How a byte-level tokenizer splits a text into words before it merges bytes, by the name that a GGUF file gives it.

use anyhow::{Result, anyhow, bail};
use tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DIGITS: &str = r"\p{N}";
const THREE_DIGITS: &str = r"[0-9][0-9][0-9]";
const UP_TO_THREE_DIGITS: &str = r"\p{N}{1,3}";
const LINE_ENDS: &str = r"[\r\n]";
const PUNCTUATION: &str = r"[\p{P}$+<=>^~|`]+";
const CHINESE: &str = r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+";
/// Letters that have cases, as DeepSeek lists them.
const DEEPSEEK_LETTERS: &str = "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
const DEEPSEEK_SIGNS: &str = r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const DEEPSEEK3_CHINESE: &str = r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SEED_CODER: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
const BAILING: &str =
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const BLOOM: &str = r" ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+";

/// What is known of a way to split words.
pub(super) struct Words {
    /// Each splits what the ones before have left whole.
    patterns: &'static [&'static str],
    /// Whether a text begins with the start token if the file does not say.
    pub has_start: bool,
    /// Whether a word that is a token is that token, whatever its merges say.
    pub takes_whole_words: bool,
    /// Whether characters are brought to their composed form.
    pub composes: bool,
}

impl Words {
    /// Of the value of `tokenizer.ggml.pre`; a file without one is read as GPT-2's.
    ///
    /// # Errors
    /// The name is not known.
    pub fn of(name: Option<&str>) -> Result<Self> {
        let words = |patterns| Words { patterns, has_start: false, takes_whole_words: false, composes: false };
        let whole_words = |patterns| Words { takes_whole_words: true, ..words(patterns) };
        Ok(match name {
            None | Some("default" | "gpt-2" | "gpt2" | "phi-2" | "mpt" | "olmo" | "jais" | "exaone4" | "trillion") => {
                words(&[GPT2])
            }
            Some("gigachat" | "a.x-4.0" | "mellum" | "granite-docling") => words(&[GPT2]),
            Some("smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b") => {
                words(&[DIGITS, GPT2])
            }
            Some("llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "falcon-h1" | "pixtral" | "lfm2" | "midm-2.0") => {
                Words { has_start: true, ..whole_words(&[LLAMA3]) }
            }
            Some("dbrx" | "smaug-bpe" | "chatglm-bpe") => words(&[LLAMA3]),
            Some("glm4" | "glm5") => whole_words(&[LLAMA3]),
            Some("qwen2" | "deepseek-r1-qwen" | "megrez" | "hunyuan" | "kormo") => {
                Words { composes: true, ..words(&[QWEN2]) }
            }
            Some("qwen35") => words(&[QWEN35]),
            Some("stablelm2" | "solar-open" | "grok-2") => words(&[QWEN2]),
            Some("tekken") => Words { has_start: true, ..whole_words(&[TEKKEN]) },
            Some("gpt-4o" | "llama4" | "kanana2" | "minimax-m2") => words(&[GPT4O]),
            Some("deepseek-llm") => words(&[LINE_ENDS, DEEPSEEK_LETTERS, DEEPSEEK_SIGNS, r"\s+$", CHINESE, DIGITS]),
            Some("deepseek-coder") => words(&[LINE_ENDS, r"\s?\p{L}+", r"\s?\p{P}+", CHINESE, DIGITS]),
            Some("deepseek-v3" | "hunyuan-dense" | "joyai-llm") => {
                words(&[UP_TO_THREE_DIGITS, DEEPSEEK3_CHINESE, DEEPSEEK3])
            }
            Some("falcon") => words(&[PUNCTUATION, GPT2, THREE_DIGITS]),
            Some("seed-coder") => words(&[SEED_CODER]),
            Some("bailingmoe" | "bailingmoe2" | "llada-moe") => words(&[BAILING]),
            Some("bloom" | "gpt3-finnish" | "poro-chat") => words(&[BLOOM]),
            Some("viking") => words(&[BLOOM, DIGITS]),
            Some(name) => bail!(
                "expected words split as one of gpt-2, smollm, llama-bpe, qwen2, tekken, gpt-4o, dbrx, deepseek-llm, \
                 deepseek-coder, deepseek-v3, falcon or bloom splits them, found `{name}`; hint: put the model's `tokenizer.json` beside the file"
            ),
        })
    }

    /// The splitting as a part of a tokenizer, which ends with bytes as GPT-2 spells them.
    ///
    /// # Errors
    /// A pattern is invalid; that does not happen.
    pub fn splitting(&self) -> Result<PreTokenizerWrapper> {
        let split = |pattern: &&str| {
            let pattern = SplitPattern::Regex((*pattern).to_owned());
            Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(|error| anyhow!(error))
        };
        let splits = self.patterns.iter().map(|pattern| Ok(split(pattern)?.into()));
        let bytes = [Ok(ByteLevel::new(false, false, false).into())];
        Ok(Sequence::new(splits.chain(bytes).collect::<Result<_>>()?).into())
    }
}

#[cfg(test)]
mod tests {
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::*;

    /// Checks the words of a text, `|` between them and spaces as they are.
    #[track_caller]
    fn check(name: &str, text: &str, expected: &str) {
        let splitting = Words::of(Some(name)).and_then(|words| words.splitting()).expect("a known name");
        let mut pieces = PreTokenizedString::from(text);
        splitting.pre_tokenize(&mut pieces).expect("a text can be split");
        let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let words: Vec<&str> = splits.iter().map(|(_, (from, to), _)| &text[*from..*to]).collect();
        assert_eq!(words.join("|"), expected, "{name}");
    }

    #[test]
    fn words_are_split_as_the_models_learned_them() {
        check("gpt-2", "It's 1234  apples, no?\n\nYes", "It|'s| 1234| | apples|,| no|?|\n|\n|Yes");
        check("smollm", "It's 1234  apples", "It|'s| |1|2|3|4| | apples");
        check("llama-bpe", "It'S 12345 apples!\n\nYes", "It|'S| |123|45| apples|!\n\n|Yes");
        check("qwen2", "x=42;\n  y", "x|=|4|2|;\n| | y");
        check("tekken", "camelCase HTTPServer 42/\n", "camel|Case| HTTPServer| |4|2|/\n");
        check("gpt-4o", "Don't stop, HELLO World 12345", "Don't| stop|,| HELLO| World| |123|45");
        check("dbrx", "é漢字 ok", "é漢字| ok");
        check("qwen35", "e\u{301}té=4", "e\u{301}té|=|4");
        check("deepseek-llm", "It's 12 ok!\n漢字", "It|'|s| |1|2| ok|!|\n|漢字");
        check("deepseek-coder", "x_1 = 漢", "x|_|1| =| |漢");
        check("deepseek-v3", "f(x) = 12345", "f|(x|)| =| |123|45");
        check("falcon", "a<=b 12345", "a|<=|b| |123|45");
        check("bloom", "No, it (is) 12", "No|,| it| (|is|)| 12");
    }

    #[test]
    fn what_is_unknown_is_named() {
        let error = Words::of(Some("martian")).err().expect("no such splitting");
        assert!(error.to_string().contains("found `martian`"), "{error}");
        assert!(Words::of(None).is_ok());
    }
}
