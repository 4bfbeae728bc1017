//! Recently read prompts: a prompt that begins like one of them continues from there.

use super::network::Cache;

/// A prompt that the network has read.
pub struct Prompt<C> {
    pub tokens: Vec<u32>,
    pub cache: C,
    /// After the last token.
    pub logits: Vec<f32>,
}

/// The last few prompts, the least recently used first.
pub struct Prompts<C> {
    entries: Vec<Prompt<C>>,
    /// Tokens kept at most, prompts that share memory counted each.
    capacity: usize,
}

impl<C: Cache> Prompts<C> {
    pub fn new(capacity: usize) -> Self {
        Prompts { entries: Vec::new(), capacity }
    }

    /// The prompt of exactly these tokens.
    pub fn find(&mut self, tokens: &[u32]) -> Option<&mut Prompt<C>> {
        let index = self.entries.iter().position(|entry| entry.tokens == tokens)?;
        self.touch(index)
    }

    /// The longest beginning that a kept prompt shares, in tokens.
    pub fn longest_beginning(&self, tokens: &[u32]) -> usize {
        self.entries.iter().map(|entry| common_beginning(&entry.tokens, tokens)).max().unwrap_or(0)
    }

    /// A sequence that holds the longest beginning that a kept prompt shares, but never all of `tokens`: the logits
    /// after the last one are still to be found.
    pub fn continuing(&mut self, tokens: &[u32]) -> Option<(C, usize)> {
        let most = tokens.len().saturating_sub(1);
        let shared = |entry: &Prompt<C>| common_beginning(&entry.tokens, tokens).min(most);
        let (index, length) = self.entries.iter().map(shared).enumerate().max_by_key(|(_, length)| *length)?;
        (length > 0).then_some(())?;
        Some((self.touch(index)?.cache.fork(length), length))
    }

    /// Keeps the prompts, and as many of the earlier ones as there is room for.
    pub fn keep(&mut self, prompts: Vec<Prompt<C>>) {
        let count = |prompts: &[Prompt<C>]| prompts.iter().map(|prompt| prompt.tokens.len()).sum::<usize>();
        while !self.entries.is_empty() && count(&self.entries) + count(&prompts) > self.capacity {
            self.entries.remove(0);
        }
        self.entries.extend(prompts);
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    fn touch(&mut self, index: usize) -> Option<&mut Prompt<C>> {
        self.entries[index..].rotate_left(1);
        self.entries.last_mut()
    }
}

/// Tokens that both begin with.
pub fn common_beginning(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length alone.
    impl Cache for usize {
        fn fork(&mut self, tokens: usize) -> Self {
            tokens
        }
    }

    fn prompt(tokens: &[u32]) -> Prompt<usize> {
        Prompt { tokens: tokens.to_vec(), cache: tokens.len(), logits: Vec::new() }
    }

    #[test]
    fn continues_from_the_longest_shared_beginning() {
        let mut prompts = Prompts::new(100);
        prompts.keep(vec![prompt(&[1, 2, 3, 4]), prompt(&[1, 2, 9])]);
        let mut check = |tokens: &[u32], expected| assert_eq!(prompts.continuing(tokens), expected, "{tokens:?}");
        check(&[1, 2, 3, 5], Some((3, 3)));
        check(&[1, 2, 9, 9], Some((3, 3)));
        check(&[1, 2, 3, 4], Some((3, 3)));
        check(&[1, 2], Some((1, 1)));
        check(&[1], None);
        check(&[7, 2], None);
        assert!(prompts.find(&[1, 2, 9]).is_some() && prompts.find(&[1, 2]).is_none());
    }

    #[test]
    fn forgets_the_least_lately_used() {
        let mut prompts = Prompts::new(6);
        prompts.keep(vec![prompt(&[1, 1, 1]), prompt(&[2, 2, 2])]);
        prompts.find(&[1, 1, 1]);
        prompts.keep(vec![prompt(&[3])]);
        assert!(prompts.find(&[2, 2, 2]).is_none() && prompts.find(&[1, 1, 1]).is_some());
        prompts.keep(vec![prompt(&[4; 9])]);
        assert!(prompts.find(&[1, 1, 1]).is_none() && prompts.find(&[4; 9]).is_some());
    }
}
