//! The model's own thread: requests come in, and all of them decode together, one row each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use tokenizers::Tokenizer;

use super::job::{Decoded, Job, Limits};
use super::network::{Cache, Chunk, Network};
use super::prompts::{Prompt, Prompts, common_beginning};
use crate::model::{Error, Timing};
use crate::plan::Usage;

/// The most prompt tokens read in one forward pass. This bounds how long decoding rows wait for prompts.
const PROMPT_TOKENS_PER_PASS: usize = 512;

/// The scheduler of one network.
pub struct Engine<N: Network> {
    network: N,
    vocabulary: usize,
    ends: Vec<u32>,
    tokenizer: Arc<Tokenizer>,
    rows: usize,
    tokens: usize,
    waiting: VecDeque<Job>,
    slots: Vec<Slot<N::Cache>>,
    prompts: Prompts<N::Cache>,
}

/// A request that decodes.
struct Slot<C> {
    job: Job,
    cache: C,
    tokens: Vec<u32>,
    /// Seconds.
    first_token: f64,
}

impl<N: Network> Engine<N> {
    pub fn new(network: N, vocabulary: usize, ends: Vec<u32>, tokenizer: Arc<Tokenizer>, limits: Limits) -> Self {
        Engine {
            network,
            vocabulary,
            ends,
            tokenizer,
            rows: limits.rows.max(1),
            tokens: limits.tokens,
            waiting: VecDeque::new(),
            slots: Vec::new(),
            prompts: Prompts::new(limits.kept_tokens),
        }
    }

    /// Serves until the other end of the channel is dropped.
    pub fn run(mut self, jobs: Receiver<Job>) {
        while self.receive(&jobs) {
            self.waiting.retain(|job| !job.reply.is_closed());
            self.slots.retain(|slot| !slot.job.reply.is_closed());
            if let Err(error) = self.step() {
                self.fail(&error);
            }
        }
    }

    /// Takes the requests that have come, waiting only when there is nothing else to do; false once nobody can send any
    /// more.
    fn receive(&mut self, jobs: &Receiver<Job>) -> bool {
        if self.waiting.is_empty() && self.slots.is_empty() {
            match jobs.recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(_) => return false,
            }
        }
        loop {
            match jobs.try_recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Starts requests whose prompt has been read, then runs one forward pass over new prompts and all rows.
    fn step(&mut self) -> anyhow::Result<()> {
        self.start();
        let mut reading = self.next_prompts();
        let mut chunks = Vec::with_capacity(reading.len() + self.slots.len());
        for (prompt, known) in &mut reading {
            chunks.push(Chunk { tokens: &prompt.tokens[*known..], cache: &mut prompt.cache });
        }
        for slot in &mut self.slots {
            let last = slot.tokens.len() - 1;
            chunks.push(Chunk { tokens: &slot.tokens[last..], cache: &mut slot.cache });
        }
        if chunks.is_empty() {
            return Ok(());
        }
        let logits = self.network.forward(&mut chunks)?;
        let mut logits = logits.chunks_exact(self.vocabulary);
        for ((prompt, _), logits) in reading.iter_mut().zip(&mut logits) {
            prompt.logits = logits.to_vec();
        }
        self.prompts.keep(reading.into_iter().map(|(prompt, _)| prompt).collect());
        for (slot, logits) in std::mem::take(&mut self.slots).into_iter().zip(logits) {
            self.advance(slot, logits);
        }
        Ok(())
    }

    /// Gives free rows to the requests whose prompt has been read.
    fn start(&mut self) {
        let mut later = VecDeque::new();
        while let Some(job) = self.waiting.pop_front() {
            if !self.has_room(&job, 0) {
                later.push_back(job);
                break;
            }
            match self.prompts.find(&job.prompt) {
                None => later.push_back(job),
                Some(prompt) => {
                    let cache = prompt.cache.fork(job.prompt.len());
                    let logits = prompt.logits.clone();
                    self.advance(Slot { job, cache, tokens: Vec::new(), first_token: 0.0 }, &logits);
                }
            }
        }
        later.append(&mut self.waiting);
        self.waiting = later;
    }

    /// Whether a request may join those that decode, and others that may reach `coming` tokens in total.
    fn has_room(&self, job: &Job, coming: usize) -> bool {
        let held = self.slots.iter().map(|slot| slot.job.room()).sum::<usize>() + coming;
        self.slots.len() < self.rows && (held == 0 || held + job.room() <= self.tokens)
    }

    /// The prompts to read next, with the number of tokens already known. A prompt that shares more with another one of
    /// these than with what is known waits for the next pass: the common part is then read once.
    fn next_prompts(&mut self) -> Vec<(Prompt<N::Cache>, usize)> {
        let mut reading: Vec<(Prompt<N::Cache>, usize)> = Vec::new();
        let mut budget = PROMPT_TOKENS_PER_PASS;
        let mut coming = 0;
        for job in self.waiting.iter().take(self.rows - self.slots.len()) {
            if !self.has_room(job, coming) {
                break;
            }
            let known = self.prompts.longest_beginning(&job.prompt);
            let shared = reading.iter().map(|(prompt, _)| common_beginning(&prompt.tokens, &job.prompt)).max();
            if shared.is_some_and(|shared| shared > known) {
                continue;
            }
            let (cache, known) = self.prompts.continuing(&job.prompt).unwrap_or_else(|| (self.network.empty(), 0));
            let unread = job.prompt.len() - known;
            if unread > budget && !reading.is_empty() {
                break;
            }
            budget = budget.saturating_sub(unread);
            coming += job.room();
            reading.push((Prompt { tokens: job.prompt.clone(), cache, logits: Vec::new() }, known));
        }
        reading
    }

    /// Draws the next token of a row; the row goes on, or its answer goes out.
    fn advance(&mut self, mut slot: Slot<N::Cache>, logits: &[f32]) {
        let Some(token) = slot.job.sampler.draw(logits) else {
            let error = "expected finite logits, found others; hint: the weights may be damaged";
            // A send fails if nobody waits: nothing is lost.
            let _ = slot.job.reply.send(Err(Error::Permanent(error.into())));
            return;
        };
        slot.tokens.push(token);
        let (prompt_tokens, written) = (slot.job.prompt.len() as u64, slot.tokens.len() as u64);
        let usage = Usage { prompt_tokens, completion_tokens: written, ..Usage::default() };
        slot.job.meter.came_to(usage, written);
        let elapsed = slot.job.sent.elapsed().as_secs_f64();
        if slot.tokens.len() == 1 {
            slot.first_token = elapsed;
        }
        if self.ends.contains(&token) || slot.tokens.len() >= slot.job.max_tokens || self.meets_stop(&slot) {
            let timing = Timing { first_token: slot.first_token, total: elapsed, ..Timing::default() };
            let _ = slot.job.reply.send(Ok(Decoded { tokens: slot.tokens, timing }));
        } else {
            self.slots.push(slot);
        }
    }

    /// Whether the end of the text holds a stop text.
    fn meets_stop(&self, slot: &Slot<N::Cache>) -> bool {
        let Some(longest) = slot.job.stop.iter().map(String::len).max() else { return false };
        // A token is a byte at least; a few more keep a decoder's treatment of first tokens away from the end.
        let tail = &slot.tokens[slot.tokens.len().saturating_sub(longest + 4)..];
        let text = self.tokenizer.decode(tail, true).unwrap_or_default();
        slot.job.stop.iter().any(|stop| text.contains(stop))
    }

    /// Nothing that the failed pass touched can be used again.
    fn fail(&mut self, error: &anyhow::Error) {
        self.prompts.clear();
        let slots = self.slots.drain(..).map(|slot| slot.job);
        for job in slots.chain(self.waiting.drain(..)) {
            let _ = job.reply.send(Err(Error::Transient(format!("the local model failed: {error:#}"))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Mutex, mpsc};
    use std::time::Instant;

    use tokenizers::models::wordlevel::WordLevel;
    use tokio::sync::oneshot;

    use super::super::sampler::Sampler;
    use super::*;
    use crate::model::{Message, Meter, Request, Role, Sampling};

    const END: u32 = 19;

    /// Always goes on with the next number; counts the tokens it reads.
    struct Counting {
        read: Arc<AtomicUsize>,
        /// The most chunks of a pass.
        widest: Arc<AtomicUsize>,
        /// Passes that fail before the first that works.
        failures: AtomicUsize,
    }

    impl Network for Counting {
        /// The length alone.
        type Cache = usize;

        fn empty(&self) -> usize {
            0
        }

        fn forward(&self, chunks: &mut [Chunk<usize>]) -> anyhow::Result<Vec<f32>> {
            let fails = self.failures.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
            anyhow::ensure!(!fails, "the device is lost");
            self.widest.fetch_max(chunks.len(), SeqCst);
            for chunk in chunks.iter_mut() {
                *chunk.cache += chunk.tokens.len();
                self.read.fetch_add(chunk.tokens.len(), SeqCst);
            }
            let next = chunks.iter().map(|chunk| chunk.tokens[chunk.tokens.len() - 1] + 1);
            Ok(next.flat_map(|next| (0..=END).map(move |token| f32::from(u8::from(token == next)))).collect())
        }
    }

    fn greedy() -> Request {
        let message = Message { role: Role::User, content: String::new() };
        let sampling = Sampling { temperature: 0.0, top_p: 1.0, max_tokens: 0, stop: Vec::new() };
        Request { model: String::new(), messages: vec![message], sampling, sample: 0 }
    }

    /// Runs all prompts at once, then ends the thread; tells how many tokens the network read, and its widest pass.
    fn run(
        failures: usize,
        (rows, tokens): (usize, usize),
        prompts: &[&[u32]],
        max_tokens: usize,
    ) -> (Vec<Result<Vec<u32>, Error>>, usize, usize) {
        let (read, widest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let failures = AtomicUsize::new(failures);
        let network = Counting { read: read.clone(), widest: widest.clone(), failures };
        let limits = Limits { rows, tokens, kept_tokens: 100 };
        let tokenizer = Arc::new(Tokenizer::new(WordLevel::default()));
        let engine = Engine::new(network, END as usize + 1, vec![END], tokenizer, limits);
        let (jobs, received) = mpsc::channel();
        let request = greedy();
        let send = |prompt: &&[u32]| {
            let (reply, answer) = oneshot::channel();
            let (prompt, sampler) = (prompt.to_vec(), Sampler::new(&request));
            let (stop, sent, meter) = (Vec::new(), Instant::now(), Meter::default());
            jobs.send(Job { prompt, sampler, max_tokens, stop, sent, meter, reply }).expect("a receiver");
            answer
        };
        let answers: Vec<_> = prompts.iter().map(send).collect();
        let thread = std::thread::spawn(move || engine.run(received));
        let answers = answers.into_iter().map(|answer| answer.blocking_recv().expect("an answer"));
        let answers = answers.map(|answer| answer.map(|answer| answer.tokens)).collect();
        drop(jobs);
        thread.join().expect("the thread ends with its channel");
        (answers, read.load(SeqCst), widest.load(SeqCst))
    }

    /// Its caller hangs up during the third pass.
    struct Abandoned {
        network: Counting,
        passes: AtomicUsize,
        caller: Mutex<Option<oneshot::Receiver<Result<Decoded, Error>>>>,
    }

    impl Network for Abandoned {
        type Cache = usize;

        fn empty(&self) -> usize {
            0
        }

        fn forward(&self, chunks: &mut [Chunk<usize>]) -> anyhow::Result<Vec<f32>> {
            if self.passes.fetch_add(1, SeqCst) == 2 {
                self.caller.lock().expect("no panic").take();
            }
            self.network.forward(chunks)
        }
    }

    #[test]
    fn a_dropped_request_leaves_its_row_at_the_next_token() {
        let (read, meter) = (Arc::new(AtomicUsize::new(0)), Meter::default());
        let (jobs, received) = mpsc::channel();
        let job = |prompt: &[u32], meter: &Meter| {
            let (reply, answer) = oneshot::channel();
            let (stop, sent, meter) = (Vec::new(), Instant::now(), meter.clone());
            let (prompt, sampler) = (prompt.to_vec(), Sampler::new(&greedy()));
            jobs.send(Job { prompt, sampler, max_tokens: 19, stop, sent, meter, reply }).expect("a receiver");
            answer
        };
        let caller = Mutex::new(Some(job(&[0, 1], &meter)));
        let next = job(&[17], &Meter::default());
        let network = Counting { read: read.clone(), widest: Arc::default(), failures: AtomicUsize::new(0) };
        let network = Abandoned { network, passes: AtomicUsize::new(0), caller };
        let tokenizer = Arc::new(Tokenizer::new(WordLevel::default()));
        let limits = Limits { rows: 1, tokens: 100, kept_tokens: 100 };
        let engine = Engine::new(network, END as usize + 1, vec![END], tokenizer, limits);
        let thread = std::thread::spawn(move || engine.run(received));
        let answer = next.blocking_recv().expect("an answer").expect("tokens");
        drop(jobs);
        thread.join().expect("the thread ends with its channel");
        assert_eq!(answer.tokens, [18, 19]);
        // The prompt gave the first token, each pass after it one more; it would have written 18.
        let usage = Usage { prompt_tokens: 2, completion_tokens: 3, ..Usage::default() };
        assert_eq!((meter.read().usage, meter.read().written), (usage, 3));
        assert_eq!(read.load(SeqCst), 2 + 2 + 1 + 1);
    }

    #[test]
    fn rows_end_on_their_own() {
        let check = |rows| {
            let (answers, ..) = run(0, (rows, 100), &[&[0, 14], &[1, 17], &[2, 3], &[18]], 5);
            let tokens: Vec<_> = answers.into_iter().map(|answer| answer.expect("tokens")).collect();
            assert_eq!(tokens, [vec![15, 16, 17, 18, 19], vec![18, 19], vec![4, 5, 6, 7, 8], vec![19]]);
        };
        check(1);
        check(2);
        check(64);
    }

    #[test]
    fn requests_wait_for_memory() {
        let check = |tokens, expected| {
            let (answers, _, widest) = run(0, (64, tokens), &[&[0, 1], &[2, 3], &[4, 5], &[6, 7]], 5);
            let lengths: Vec<_> = answers.into_iter().map(|answer| answer.expect("tokens").len()).collect();
            assert_eq!((lengths, widest), (vec![5; 4], expected), "room for {tokens}");
        };
        // Each may come to seven tokens; one runs in any case.
        check(28, 4);
        check(27, 3);
        check(14, 2);
        check(0, 1);
    }

    #[test]
    fn a_shared_beginning_is_read_once() {
        let check = |prompts: &[&[u32]], expected| {
            let (answers, read, _) = run(0, (64, 100), prompts, 1);
            assert!(read == expected && answers.iter().all(Result::is_ok), "{prompts:?}: read {read} tokens");
        };
        check(&[[1, 2, 3, 4, 8].as_slice(); 5], 5);
        check(&[&[1, 2, 3, 4, 8], &[1, 2, 3, 4, 9], &[1, 2, 3, 4, 7], &[1, 2, 3, 4, 8]], 7);
        check(&[&[1, 2, 3], &[5, 2, 3]], 6);
        check(&[&[1, 2, 3], &[1, 2]], 4);
    }

    #[test]
    fn a_failed_pass_fails_its_requests() {
        let (answers, ..) = run(1, (1, 100), &[&[1], &[2]], 3);
        for answer in answers {
            let error = answer.expect_err("the device is lost");
            assert!(!error.is_permanent() && error.to_string().contains("the device is lost"), "{error}");
        }
    }
}
