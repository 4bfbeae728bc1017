//! A language model in this process: any folder with a Llama checkpoint as transformers writes it.
//!
//! The model runs on threads of its own. Requests go in by a channel and answers come out by another, so that no
//! executor thread ever waits for arithmetic. Equal requests give equal text whatever runs beside them.

mod config;
mod cpu;
mod device;
mod engine;
mod kernels;
mod network;
mod prompts;
mod sampler;
mod weights;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use candle_core::{DType, Device};
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;
use tokio::sync::oneshot;

use self::config::Config;
use self::cpu::CpuNetwork;
use self::device::DeviceNetwork;
use self::engine::{Answer, Engine, Job, Limits};
use self::network::{Chunk, Network};
use self::sampler::Sampler;
use super::{Completion, Error, Finish, LanguageModel, Request, Sampling, Timing};
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
}

impl Default for Options {
    fn default() -> Self {
        Options { device: Device::Cpu, dtype: DType::F32, threads: None, rows: 64, kept_tokens: 16_384 }
    }
}

/// A language model in this process. Dropping it ends its threads.
pub struct LocalModel {
    id: String,
    tokenizer: Arc<Tokenizer>,
    context: usize,
    ends: Vec<u32>,
    /// One for each engine.
    jobs: Vec<mpsc::Sender<Job>>,
}

impl LocalModel {
    /// Reads `config.json`, `tokenizer.json` and `model.safetensors` and starts the model's threads. Blocks while it
    /// reads.
    ///
    /// # Errors
    /// A file is missing, cut, of another architecture, or does not fit the others; the device cannot hold the weights.
    pub fn load(folder: &Folder, options: &Options) -> Result<Self> {
        let config = Config::load(folder)?;
        let tokenizer = Arc::new(load_tokenizer(folder, config.vocabulary)?);
        let threads = options.threads.unwrap_or_else(rayon::current_num_threads).max(1);
        let jobs = match &options.device {
            Device::Cpu => {
                let network = CpuNetwork::load(folder, config.clone())?;
                let engines = if network.shares_passes(options.rows) { 1 } else { threads.min(options.rows).max(1) };
                start(Arc::new(network), engines, threads, &config, &tokenizer, options)?
            }
            device => {
                let network = DeviceNetwork::load(folder, config.clone(), device, options.dtype)?;
                start(Arc::new(network), 1, threads, &config, &tokenizer, options)?
            }
        };
        Ok(LocalModel { id: identify(folder)?, tokenizer, context: config.context, ends: config.ends, jobs })
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
        let text: String = request.messages.iter().map(|message| message.content.as_str()).collect();
        let prompt = match self.tokenizer.encode_fast(text, true) {
            Ok(encoding) => encoding.get_ids().to_vec(),
            Err(error) => return permanent(format!("cannot encode the prompt: {error}")),
        };
        if prompt.is_empty() || prompt.len() >= self.context {
            let (found, most) = (prompt.len(), self.context - 1);
            return permanent(format!("expected a prompt of 1 to {most} tokens (the model's context), found {found}"));
        }
        let room = self.context - prompt.len();
        Ok((prompt, room.min(max_tokens as usize)))
    }

    fn completion(&self, request: &Request, prompt_tokens: usize, answer: &Answer) -> Result<Completion, Error> {
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
            finish: if ended || stop.is_some() { Finish::Stop } else { Finish::Length },
            timing: answer.timing,
        })
    }
}

#[async_trait]
impl LanguageModel for LocalModel {
    /// The contents of the messages, one after another as they stand, with the tokenizer's own special tokens.
    async fn complete(&self, request: &Request) -> Result<Completion, Error> {
        let sent = Instant::now();
        let (prompt, max_tokens) = self.prepare(request)?;
        let prompt_tokens = prompt.len();
        if max_tokens == 0 {
            let nothing = Answer { tokens: Vec::new(), timing: Timing::default() };
            return self.completion(request, prompt_tokens, &nothing);
        }
        let (reply, answer) = oneshot::channel();
        let stop = stops(&request.sampling).map(String::from).collect();
        let job = Job { prompt, sampler: Sampler::new(request), max_tokens, stop, sent, reply };
        let gone = || Error::Permanent(format!("the thread of the local model `{}` has ended", self.id));
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
    let config = Config::load(folder)?;
    let known = tokens.iter().all(|token| (*token as usize) < config.vocabulary);
    ensure!(known && !tokens.is_empty(), "expected tokens below {}, found {tokens:?}", config.vocabulary);
    fn run(network: &impl Network, tokens: &[u32]) -> Result<Vec<f32>> {
        network.forward(&mut [Chunk { tokens, cache: &mut network.empty() }])
    }
    match &options.device {
        Device::Cpu => run(&CpuNetwork::load(folder, config)?, tokens),
        device => run(&DeviceNetwork::load(folder, config, device, options.dtype)?, tokens),
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
) -> Result<Vec<mpsc::Sender<Job>>> {
    let limits = Limits { rows: options.rows.div_ceil(engines), kept_tokens: options.kept_tokens / engines };
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

fn load_tokenizer(folder: &Folder, vocabulary: usize) -> Result<Tokenizer> {
    const FILE: &str = "tokenizer.json";
    let tokenizer = Tokenizer::from_bytes(folder.read(FILE)?)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("`{folder}/{FILE}` is not a tokenizer"))?;
    let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
    ensure!(
        (largest as usize) < vocabulary,
        "`{folder}/{FILE}`: expected tokens below the model's vocabulary of {vocabulary}, found {largest}"
    );
    Ok(tokenizer)
}

/// The folder's own name and what its files hold.
fn identify(folder: &Folder) -> Result<String> {
    let mut hash = Sha256::new();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        hash.update(folder.read(file)?);
    }
    let digest: String = hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let name = folder.to_string();
    let name = name.rsplit(['/', '\\', ':']).find(|part| !part.is_empty()).unwrap_or("local");
    Ok(format!("{name}@{digest}"))
}

#[cfg(test)]
mod parity;
