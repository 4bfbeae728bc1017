//! A server of ours over a server of models of the test: what tests of serving share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use lamas::agent::Agent;
use lamas::model::Definitions;
use lamas::model::openai::{Account, Books, EndpointConfig, Key};
use lamas::serve::{
    Caps, Exploration, Explorer, Journal, Keys, Limits, Live, Run, Runs, Service, bind, listen, router,
};
use lamas::settings::{Host, Parts, Preset, Settings};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::server::{Reply, Server, streamed};

pub const UPSTREAM_KEY: &str = "sk-upstream-hunter2";
/// A plan with one call.
pub const ONE: &str = "GenerateCoT";

/// A server of ours, with the server that its models are at.
pub struct Serving {
    pub upstream: Server,
    pub service: Arc<Service>,
    pub url: String,
    pub books: Arc<Books>,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    listening: Option<JoinHandle<usize>>,
}

/// What a server of ours is like.
#[derive(Default)]
pub struct Setup {
    pub limits: Limits,
    pub keys: Keys,
    pub journal: Option<Arc<Journal>>,
    pub explorer: Option<Arc<Explorer>>,
    pub live: Option<Live>,
    pub shadows: bool,
    /// Whether the built-in model answers, and no server.
    pub is_local: bool,
    /// Models and a catalogue that names them, in place of the one model `m`.
    pub models: Option<(Definitions, PathBuf)>,
}

/// The run `tiny`, whose model `m` is at `url`.
async fn open(url: &str, books: &Arc<Books>, setup: &Setup) -> Result<Runs> {
    let endpoint = EndpointConfig { attempts: 2, backoff_seconds: 0.01, ..EndpointConfig::default() };
    let mut settings = Settings {
        benchmark: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/benchmarks/tiny")),
        device: "cpu".into(),
        endpoint: EndpointConfig {
            url: Some(url.to_owned()),
            model: Some("m".into()),
            price: Some(1.0),
            ..endpoint.clone()
        },
        ..Preset::default().settings()
    };
    if let Some((models, catalogue)) = setup.models.clone() {
        settings = Settings { endpoint, models, catalogue: Some(catalogue), ..settings };
    }
    if setup.is_local {
        settings.endpoint = EndpointConfig::default();
    }
    let key = Key::new(Some(UPSTREAM_KEY.into()));
    let host = Host { key, books: Some(books.clone()), forgets: true, ..Host::default() };
    let parts = Parts::open(&settings, &host).await?;
    let record = setup.journal.as_ref().map(|journal| journal.record().clone());
    let agent = Agent::new(parts, &settings, None, None).with_record(record);
    Runs::new(vec![Run::new("tiny".into(), agent)])
}

impl Serving {
    pub async fn start(script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Result<Self> {
        Self::set_up(Setup::default(), script).await
    }

    /// Keeps what it serves in a folder.
    pub async fn keeping(
        keys: Keys,
        folder: &Path,
        script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let journal = Some(Arc::new(Journal::open(folder)?));
        Self::set_up(Setup { keys, journal, ..Setup::default() }, script).await
    }

    /// Explores all that it serves, and keeps it in a folder.
    pub async fn exploring(
        keys: Keys,
        folder: &Path,
        dollars_per_day: f64,
        script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let exploration = Exploration { share: 1.0, dollars_per_day, longest: Duration::from_secs(20) };
        let explorer = Some(Arc::new(Explorer::new(exploration, Caps::default())));
        let journal = Some(Arc::new(Journal::open(folder)?));
        let serving = Self::set_up(Setup { keys, journal, explorer, ..Setup::default() }, script).await?;
        let service = serving.service.clone();
        tokio::spawn(async move { service.explore().await });
        Ok(serving)
    }

    pub async fn with(
        limits: Limits,
        keys: Keys,
        script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::set_up(Setup { limits, keys, ..Setup::default() }, script).await
    }

    pub async fn set_up(setup: Setup, script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Result<Self> {
        Self::over(Server::start(script).await, setup).await
    }

    /// A server of ours over one of models that is there already.
    pub async fn over(upstream: Server, mut setup: Setup) -> Result<Self> {
        let books = Arc::new(Books::new(&EndpointConfig::default()));
        let runs = open(&upstream.url, &books, &setup).await?;
        let service = Service::new(setup.limits, setup.keys.clone(), runs, books.clone())
            .keeping(setup.journal.clone())
            .exploring(setup.explorer.clone())
            .shadowing(setup.shadows)
            .showing(setup.live.take().unwrap_or_default());
        let (at, same, limits) = (upstream.url.clone(), books.clone(), setup.limits);
        let setup = Arc::new(setup);
        let service = Arc::new(service.reopening(Box::new(move || {
            let (at, same, setup) = (at.clone(), same.clone(), setup.clone());
            Box::pin(async move { open(&at, &same, &setup).await })
        })));
        let bound = bind("127.0.0.1:0", false).await?;
        let (stop, stopped) = oneshot::channel();
        let wait = async { drop(stopped.await) };
        let listening = tokio::spawn(listen(bound.listener, router(service.clone()), limits, wait));
        let (url, client) = (format!("http://{}", bound.address), reqwest::Client::builder().no_proxy().build()?);
        Ok(Serving { upstream, service, url, books, client, stop: Some(stop), listening: Some(listening) })
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    /// Asks for a completion; `more` are fields of the request beside a question, or in place of it.
    pub async fn chat(&self, model: &str, more: Value) -> Result<Response> {
        Ok(self.post("/v1/chat/completions").json(&body(model, more)).send().await?)
    }

    /// Asks for a completion; its status and its JSON.
    pub async fn asked(&self, model: &str, more: Value) -> Result<(u16, Value)> {
        let response = self.chat(model, more).await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    /// Stops the server, which lets requests in flight end; how many connections were cut.
    pub async fn stop(&mut self) -> Result<usize> {
        drop(self.stop.take());
        Ok(self.listening.take().expect("stopped once").await?)
    }

    pub fn account(&self) -> Account {
        self.books.account()
    }

    /// Waits until the counters hold a line.
    pub async fn counts(&self, line: &str) {
        let holds = async {
            while !self.service.metrics().lines().any(|counted| counted == line) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), holds).await;
        assert!(waited.is_ok(), "expected `{line}`, found {}", self.service.metrics());
    }
}

/// A request for a completion.
pub fn body(model: &str, more: Value) -> Value {
    let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": "what is 6 times 7 ?" }] });
    let fields = body.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    body
}

/// A request for the plan of these operators.
pub fn by_plan(plan: &str) -> Value {
    json!({ "lamas": { "plan": plan } })
}

/// The right answer, of 40 + 9 tokens.
pub fn right() -> Reply {
    streamed("6 * 7 = 42. The answer is 42.", 40, 9)
}

/// The data of the events of a stream.
pub fn events(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into())).collect()
}

/// The lines of a file of JSON lines.
pub fn lines(folder: &Path, name: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(folder.join(name))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
