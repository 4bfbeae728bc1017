//! A language model in this process: a checkpoint of a known architecture, as transformers or llama.cpp writes it.
//!
//! The model runs on threads of its own. Requests go in by a channel and answers come out by another, so that no
//! executor thread ever waits for arithmetic. Equal requests give equal text, whatever else runs at the time.

mod architectures;
mod chat;
mod config;
mod config_file;
mod cpu;
mod device;
mod engine;
mod files;
mod gguf;
mod gguf_families;
mod gguf_formats;
mod gguf_sentencepiece;
mod gguf_tensors;
mod gguf_tokenizer;
mod gguf_value;
mod gguf_words;
mod hub;
mod job;
mod linear;
mod mapped;
mod memory;
mod network;
mod prompts;
mod rotation;
mod safetensors;
mod sampler;
mod weights;

pub use chat::Variables;
pub use hub::HubId;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use candle_core::{DType, Device};
use tokenizers::Tokenizer;
use tokio::sync::oneshot;

use self::chat::Chat;
use self::config::Config;
use self::cpu::CpuNetwork;
use self::device::DeviceNetwork;
use self::engine::Engine;
use self::files::Files;
use self::job::{Decoded, Job, Limits};
use self::memory::Room;
use self::network::{Chunk, Network};
use self::sampler::Sampler;
use super::{Completion, Error, FinishReason, LanguageModel, Meter, Request, Sampling, Timing};
use crate::folder::Folder;
use crate::plan::Usage;

/// Tokens at the beginning of a prompt that tell questions apart.
const BEGINNING: usize = 16;

/// The built-in model, compiled into the binary.
pub const ARITHMETIC_LLAMA: Folder = Folder::Embedded {
    name: "models/arithmetic-llama",
    files: &[
        ("config.json", include_bytes!("../../../models/arithmetic-llama/config.json")),
        ("tokenizer.json", include_bytes!("../../../models/arithmetic-llama/tokenizer.json")),
        ("model.safetensors", include_bytes!("../../../models/arithmetic-llama/model.safetensors")),
    ],
};

/// Where and how a local model runs.
#[derive(Clone, Debug)]
pub struct Options {
    pub device: Device,
    /// Of the weights on a CUDA or Metal device; the CPU always computes in f32.
    pub dtype: DType,
    /// None takes rayon's number (`RAYON_NUM_THREADS`, else all cores). A model whose passes are too short to be shared
    /// among threads runs once in each.
    pub threads: Option<usize>,
    /// Requests that decode at once; others wait.
    pub rows: usize,
    /// Tokens of prompts whose keys and values are kept for requests that begin alike.
    pub kept_tokens: usize,
    /// Tokens of prompt and completion together. None takes the model's own number, if it is no more than 8,192 and
    /// memory for keys and values suffices (4 GiB in all; a requested context may take more). A model that turns its
    /// heads otherwise for long texts (LongRoPE) does so if more is requested than it was first trained on.
    pub context: Option<usize>,
    /// Variables of the chat template; those that it does not use have no effect.
    pub template: Variables,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            device: Device::Cpu,
            dtype: DType::F32,
            threads: None,
            rows: 64,
            kept_tokens: 16_384,
            context: None,
            // Qwen3 thinks aloud unless told not to: the operators ask for steps themselves if they want them.
            template: [("enable_thinking".to_owned(), false.into())].into(),
        }
    }
}

impl Options {
    /// The type of the weights on their device.
    fn precision(&self) -> DType {
        if self.device.is_cpu() { DType::F32 } else { self.dtype }
    }
}

/// A language model in this process. Dropping it ends its threads.
pub struct LocalModel {
    id: String,
    tokenizer: Arc<Tokenizer>,
    /// What the tokenizer puts before every text.
    start: Option<u32>,
    chat: Option<Chat>,
    context: usize,
    ends: Vec<u32>,
    /// One for each engine.
    jobs: Vec<mpsc::Sender<Job>>,
}

impl LocalModel {
    /// Reads a folder as transformers writes it (`config.json`, `tokenizer.json`, safetensors, and
    /// `generation_config.json` and a chat template if there are any), or a GGUF file: the one that `folder` names, or
    /// the only one in it. Then starts the model's threads. Blocks while it reads.
    ///
    /// # Errors
    /// A file is missing, cut, of another architecture, or does not fit the others; the device cannot hold the weights.
    pub fn load(folder: &Folder, options: &Options) -> Result<Self> {
        let files = Files::open(folder)?;
        let mut config = files.config()?;
        let room = Room::new(&config, options.precision().size_in_bytes(), options.kept_tokens, options.context)?;
        config.allow(room.context);
        let tokenizer = Arc::new(files.tokenizer(config.vocabulary)?);
        let chat = files.chat(&options.template)?;
        config.ends.extend(chat.as_ref().and_then(|chat| tokenizer.token_to_id(&chat.eos)));
        let threads = options.threads.unwrap_or_else(rayon::current_num_threads).max(1);
        let (device, dtype) = (&options.device, options.precision());
        let jobs = match device {
            Device::Cpu => {
                let network = CpuNetwork::new(files.weights(&config, device, dtype)?, config.clone())?;
                let engines = if network.shares_passes(options.rows) { 1 } else { threads.min(options.rows).max(1) };
                start(Arc::new(network), engines, threads, &config, &tokenizer, options, room)?
            }
            _ => {
                let network = DeviceNetwork::new(files.weights(&config, device, dtype)?, config.clone())?;
                start(Arc::new(network), 1, threads, &config, &tokenizer, options, room)?
            }
        };
        let precision = (dtype != DType::F32).then(|| dtype.as_str().to_owned());
        let shorter = (room.context < config.context).then(|| format!("context {}", room.context));
        let more: Vec<String> = chat.iter().map(Chat::fingerprint).chain(precision).chain(shorter).collect();
        let id = files.identify(&more)?;
        let start = tokenizer.encode_fast("", true).ok().and_then(|start| start.get_ids().first().copied());
        Ok(LocalModel { id, tokenizer, start, chat, context: room.context, ends: config.ends, jobs })
    }

    /// The engine of a prompt: the same one for all prompts of a question, which it then reads once.
    fn engine(&self, prompt: &[u32]) -> Option<&mpsc::Sender<Job>> {
        let mut hash = DefaultHasher::new();
        prompt[..prompt.len().min(BEGINNING)].hash(&mut hash);
        self.jobs.get((hash.finish() % self.jobs.len().max(1) as u64) as usize)
    }

    /// The request as token ids, checked.
    fn prepare(&self, request: &Request) -> Result<(Vec<u32>, usize), Error> {
        let permanent = |message: String| Err(Error::Permanent(message));
        let Sampling { temperature, top_p, max_tokens, .. } = request.sampling;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return permanent(format!("expected a temperature of 0 or more, found {temperature}"));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return permanent(format!("expected a top-p in (0, 1], found {top_p}"));
        }
        let (text, adds_special_tokens) = match &self.chat {
            None => (request.messages.iter().map(|message| message.content.as_str()).collect(), true),
            // A template writes the special tokens itself.
            Some(chat) => match chat.prompt(&request.messages) {
                Ok(text) => (text, false),
                Err(error) => return permanent(format!("{error:#}")),
            },
        };
        let mut prompt = match self.tokenizer.encode_fast::<String>(text, adds_special_tokens) {
            Ok(encoding) => encoding.get_ids().to_vec(),
            Err(error) => return permanent(format!("cannot encode the prompt: {error}")),
        };
        // A text may begin with the start token that the tokenizer writes too.
        if adds_special_tokens && prompt.len() > 1 && self.start == Some(prompt[0]) && prompt[0] == prompt[1] {
            prompt.remove(0);
        }
        if prompt.is_empty() {
            return permanent("expected a prompt of at least one token, found an empty one".to_owned());
        }
        let room = self.context.saturating_sub(prompt.len());
        Ok((prompt, room.min(max_tokens as usize)))
    }

    fn completion(&self, request: &Request, prompt_tokens: usize, answer: &Decoded) -> Result<Completion, Error> {
        let (tokens, ended) = match answer.tokens.split_last() {
            Some((last, before)) if self.ends.contains(last) => (before, true),
            _ => (answer.tokens.as_slice(), false),
        };
        let mut text = self
            .tokenizer
            .decode(tokens, true)
            .map_err(|error| Error::Permanent(format!("cannot decode the completion: {error}")))?;
        let stop = stops(&request.sampling).filter_map(|stop| text.find(stop)).min();
        if let Some(stop) = stop {
            text.truncate(stop);
        }
        Ok(Completion {
            text,
            usage: Usage {
                prompt_tokens: prompt_tokens as u64,
                completion_tokens: answer.tokens.len() as u64,
                ..Usage::default()
            },
            finish: if ended || stop.is_some() { FinishReason::Stop } else { FinishReason::Length },
            timing: answer.timing,
            hedged: None,
        })
    }
}

#[async_trait]
impl LanguageModel for LocalModel {
    /// Completes what the chat template makes of the messages; without one, their contents, one after another, with the
    /// tokenizer's own special tokens. A dropped call frees its row before the next forward pass.
    async fn complete_metered(&self, request: &Request, meter: &Meter) -> Result<Completion, Error> {
        let sent = Instant::now();
        let (prompt, max_tokens) = self.prepare(request)?;
        let prompt_tokens = prompt.len();
        if prompt_tokens >= self.context {
            let (text, usage, timing) = Default::default();
            return Ok(Completion { text, usage, finish: FinishReason::ContextExceeded, timing, hedged: None });
        }
        if max_tokens == 0 {
            let nothing = Decoded { tokens: Vec::new(), timing: Timing::default() };
            return self.completion(request, prompt_tokens, &nothing);
        }
        let (reply, answer) = oneshot::channel();
        let stop = stops(&request.sampling).map(String::from).collect();
        meter.sent(Usage { prompt_tokens: prompt_tokens as u64, ..Usage::default() });
        let (sampler, meter) = (Sampler::new(request), meter.clone());
        let job = Job { prompt, sampler, max_tokens, stop, sent, meter, reply };
        let gone = || Error::Broken(format!("the thread of the local model `{}` has ended", self.id));
        self.engine(&job.prompt).ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        let answer = answer.await.map_err(|_| gone())??;
        self.completion(request, prompt_tokens, &answer)
    }

    fn has_virtual_time(&self) -> bool {
        true
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// Logits of the token after `tokens`: for a comparison with other implementations.
///
/// # Errors
/// Those of [`LocalModel::load`]; no token, or one outside the vocabulary.
pub fn logits(folder: &Folder, options: &Options, tokens: &[u32]) -> Result<Vec<f32>> {
    let files = Files::open(folder)?;
    let mut config = files.config()?;
    config.allow(tokens.len());
    let known = tokens.iter().all(|token| (*token as usize) < config.vocabulary);
    ensure!(known && !tokens.is_empty(), "expected tokens below {}, found {tokens:?}", config.vocabulary);
    fn run(network: &impl Network, tokens: &[u32]) -> Result<Vec<f32>> {
        network.forward(&mut [Chunk { tokens, cache: &mut network.empty() }])
    }
    let (device, dtype) = (&options.device, options.precision());
    match device {
        Device::Cpu => run(&CpuNetwork::new(files.weights(&config, device, dtype)?, config)?, tokens),
        _ => run(&DeviceNetwork::new(files.weights(&config, device, dtype)?, config)?, tokens),
    }
}

/// The empty text would end every completion at once.
fn stops(sampling: &Sampling) -> impl Iterator<Item = &str> {
    sampling.stop.iter().map(String::as_str).filter(|stop| !stop.is_empty())
}

/// Starts `engines` engines on one network, which share the threads and the rows.
fn start<N: Network + Sync>(
    network: Arc<N>,
    engines: usize,
    threads: usize,
    config: &Config,
    tokenizer: &Arc<Tokenizer>,
    options: &Options,
    room: Room,
) -> Result<Vec<mpsc::Sender<Job>>> {
    let limits = Limits {
        rows: options.rows.div_ceil(engines),
        tokens: (room.in_flight / engines).max(room.context),
        kept_tokens: room.kept / engines,
    };
    let start = |index| {
        let (jobs, received) = mpsc::channel();
        let engine = Engine::new(network.clone(), config.vocabulary, config.ends.clone(), tokenizer.clone(), limits);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads / engines)
            .thread_name(move |thread| format!("lamas-model-{index}-{thread}"))
            .build()
            .context("cannot start the model's threads")?;
        std::thread::Builder::new()
            .name(format!("lamas-model-{index}"))
            .spawn(move || pool.install(move || engine.run(received)))
            .context("cannot start the model's thread")?;
        Ok(jobs)
    };
    (0..engines).map(start).collect()
}

#[cfg(test)]
mod parity;
