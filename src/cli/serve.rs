//! `lamas serve`: an OpenAI-compatible server that answers by trained controllers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;

use super::config::Common;
use super::of_run::OfRun;
use super::output::say;
use super::session::host;
use crate::agent::{Agent, newest};
use crate::checkpoint::{Checkpoint, write_atomic};
use crate::disk::create_folder;
use crate::model::openai::Books;
use crate::serve::{
    Caps, Exploration, Explorer, Journal, Keys, Limits, Live, Run, Runs, Service, Today, administration, bind, listen,
    router,
};
use crate::settings::{Parts, RunFile};

/// Keys of the server, parted by commas.
const KEYS: &str = "LAMAS_SERVER_KEYS";
/// How often it is written down what keys spent today.
const NOTED: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Trained controllers or run folders, each served under its folder's name or as NAME=PATH
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,
    /// Address to listen on; one that other machines can reach needs keys (LAMAS_SERVER_KEYS or --keys)
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", env = "LAMAS_LISTEN")]
    listen: String,
    /// File with the accepted keys: `[[key]]` tables with `name`, `sha256` and what each key may do
    #[arg(id = "server-keys", long = "keys", value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Second listener, on this machine, for the page, /metrics and /admin/reload; without it they need a key with `may = ["admin"]`
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// Another host name that a server without keys accepts; repeatable
    #[arg(long = "allow-host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Requests answered at the same time
    #[arg(long, value_name = "N", default_value_t = Limits::default().in_flight, value_parser = at_least_one)]
    in_flight: usize,
    /// Requests that may wait for their turn; further ones get status 429
    #[arg(long, value_name = "N", default_value_t = Limits::default().waiting)]
    waiting: usize,
    /// Longest time for an answer; also the time of a request without a budget
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0, value_parser = seconds)]
    timeout: f64,
    /// Largest request body
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body, value_parser = at_least_one)]
    max_body: usize,
    /// How long requests in flight may take to finish after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    drain: f64,
    /// With --record: for this share of the requests, ask all operators in the background while nothing waits, to train from
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    explore: f64,
    /// The most dollars that exploration may spend in a day
    #[arg(long, value_name = "DOLLARS", default_value_t = 1.0, value_parser = dollars)]
    explore_dollars: f64,
    /// With --record: answer with the plain model instead of plans, and record what each plan would have done
    #[arg(long)]
    shadow: bool,
    /// Also show the questions on the page at / (on the --admin listener, or with an admin key as password)
    #[arg(long)]
    show_texts: bool,
    /// Check what would work, then exit without serving
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<()> {
    // Not that of other commands: SIGTERM ends a server once its requests have ended.
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    let served = runtime.block_on(serve(Arc::new(args)));
    // What still runs is given up.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(args: Arc<Args>) -> Result<()> {
    let keys = keys(&args)?;
    let books = Arc::new(Books::new(&args.common.own()?.endpoint));
    // The flag names a folder here: the record is one of its files.
    let journal = args.common.own()?.record.map(|folder| Journal::open(&folder).map(Arc::new)).transpose()?;
    let opening = Opening { args: args.clone(), books: books.clone(), journal: journal.clone() };
    for (flag, is_asked) in [("--explore", args.explore > 0.0), ("--shadow", args.shadow)] {
        ensure!(
            !is_asked || journal.is_some(),
            "{flag}: expected `--record DIR`, which keeps what is found, found none"
        );
    }
    let runs = opening.open().await?;
    let limits = Limits {
        in_flight: args.in_flight,
        waiting: args.waiting,
        answer: Duration::from_secs_f64(args.timeout),
        body: args.max_body,
        drain: Duration::from_secs_f64(args.drain),
        ..Limits::default()
    };
    let bound = bind(&args.listen, !keys.is_empty()).await?;
    let admin = match &args.admin {
        Some(address) => Some(bind(address, false).await?),
        None => None,
    };
    if args.check {
        return check(&runs, &bound.address, keys.is_empty()).await;
    }
    let place = host().state_folder.filter(|_| !keys.is_empty()).map(|folder| folder.join("served-today.json"));
    let opening = Arc::new(opening);
    let spent = args.common.own()?.record.map(|folder| folder.join("explored-today.json"));
    let exploration = Exploration {
        share: args.explore,
        dollars_per_day: args.explore_dollars,
        longest: Duration::from_secs_f64(args.timeout),
    };
    let explorer = spent.as_deref().filter(|_| args.explore > 0.0);
    let explorer = explorer.map(|spent| Arc::new(Explorer::new(exploration, Caps::restore(noted(spent)))));
    let service = Service::new(limits, keys, runs, books.clone())
        .keeping(journal)
        .exploring(explorer)
        .shadowing(args.shadow)
        .showing(Live::new(args.show_texts))
        .named(args.hosts.clone())
        .capped(Caps::restore(place.as_deref().map(noted).unwrap_or_default()))
        .reopening(Box::new(move || {
            let opening = opening.clone();
            Box::pin(async move { opening.open().await })
        }));
    let service = Arc::new(service);
    eprintln!("serving http://{}/v1: {}", bound.address, service.runs().models().join(", "));
    if let Some(admin) = admin {
        eprintln!("page, metrics and reload: http://{}", admin.address);
        tokio::spawn(listen(admin.listener, administration(service.clone()), limits, std::future::pending()));
    }
    tokio::spawn(reload_when_told(service.clone()));
    let noting = Noting { service: service.clone(), keys: place, explored: spent };
    tokio::spawn(noting.clone().now_and_then());
    let exploring = service.clone();
    tokio::spawn(async move { exploring.explore().await });
    let stopped = service.clone();
    let cut = listen(bound.listener, router(service.clone()), limits, async move {
        stop_signal().await;
        eprintln!("stopping: no new requests; those in flight may finish; send the signal again to stop at once");
        stopped.drain();
        tokio::spawn(async {
            stop_signal().await;
            std::process::exit(130);
        });
    })
    .await;
    noting.note()?;
    let account = books.account();
    let (answered, requests, cost) = (account.answered, account.requests, account.cost);
    eprintln!("{answered} of {requests} requests to models answered, {} tokens, {cost:.6} $", account.tokens());
    ensure!(cut == 0, "{cut} connections were cut: their requests did not finish within {} s", args.drain);
    Ok(())
}

/// Who may ask.
fn keys(args: &Args) -> Result<Keys> {
    let of_file = args.keys.as_deref().map(Keys::load).transpose()?.unwrap_or_default();
    let of_environment = std::env::var(KEYS).ok().map(|text| Keys::of_text(&text)).transpose();
    Ok(of_file.and(of_environment.with_context(|| format!("environment variable `{KEYS}`"))?.unwrap_or_default()))
}

/// What runs are opened with, as often as they are.
struct Opening {
    args: Arc<Args>,
    /// Govern all models.
    books: Arc<Books>,
    journal: Option<Arc<Journal>>,
}

impl Opening {
    async fn open(&self) -> Result<Runs> {
        let Opening { args, books, journal } = self;
        let mut runs = Vec::new();
        for text in &args.runs {
            let (name, path) = RunFile::named(text);
            let (checkpoint, origin) =
                if path.is_dir() { newest(&path)? } else { (Checkpoint::load(&path)?, path.clone()) };
            let OfRun { mut settings, mut host, catalogue } = OfRun::new(&args.common, &checkpoint, &origin)?;
            settings.record = None;
            (host.books, host.forgets) = (Some(books.clone()), true);
            let parts = Parts::open_for(&settings, &host, catalogue).await?;
            let agent = Agent::restore(parts, &settings, &checkpoint, &origin)?;
            agent.remarks().iter().for_each(|remark| eprintln!("{remark}"));
            let agent = agent.with_record(journal.as_ref().map(|journal| journal.record().clone()));
            runs.push(Run::new(name.unwrap_or_else(|| RunFile::name_of(&origin)), agent));
        }
        Runs::new(runs)
    }
}

/// Says what would work.
async fn check(runs: &Runs, address: &str, is_open: bool) -> Result<()> {
    say(format_args!("ok    listen: {address}, {}", if is_open { "without keys" } else { "with keys" }))?;
    say(format_args!("ok    models: {}", runs.models().join(", ")))?;
    let mut failed = 0;
    for run in runs.all() {
        let (name, agent) = (&run.name, &run.agent);
        let weights = agent.trained().and_then(|trained| trained.latency_weights().ok());
        let by_budget = match (weights, agent.latency_model()) {
            (Some(_), Some(_)) => "chooses plans for budgets",
            _ => "ends plans at budgets, but does not choose plans for them",
        };
        say(format_args!("ok    {name}: {} operators; {by_budget}", run.operators().len()))?;
        for endpoint in &agent.endpoints().0 {
            let model = endpoint.client.model();
            match endpoint.client.reach().await {
                Ok(()) => say(format_args!("ok    {name}: `{model}` has a server"))?,
                Err(error) => {
                    failed += 1;
                    say(format_args!("fail  {name}: `{model}`: {error}"))?;
                }
            }
        }
    }
    ensure!(failed == 0, "expected servers for all models, found {failed} without");
    Ok(())
}

async fn reload_when_told(service: Arc<Service>) {
    while hang_up().await {
        match service.reload().await {
            Ok(()) => eprintln!("reloaded: {}", service.runs().models().join(", ")),
            Err(error) => eprintln!("the previous runs stay: {error:#}"),
        }
    }
}

/// Saves what was spent today, so that a restart does not forget it.
#[derive(Clone)]
struct Noting {
    service: Arc<Service>,
    /// Where the spending of keys, and of exploration, is saved.
    keys: Option<PathBuf>,
    explored: Option<PathBuf>,
}

impl Noting {
    async fn now_and_then(self) {
        loop {
            tokio::time::sleep(NOTED).await;
            if let Err(error) = self.note() {
                eprintln!("warning: what was spent today is not saved: {error:#}");
            }
        }
    }

    fn note(&self) -> Result<()> {
        let explorer = self.service.explorer.as_ref().map(|explorer| explorer.caps());
        let books = [(&self.keys, Some(&*self.service.caps)), (&self.explored, explorer)];
        for (place, caps) in books.into_iter().filter_map(|(place, caps)| place.as_ref().zip(caps)) {
            place.parent().map(create_folder).transpose()?;
            write_atomic(place, &serde_json::to_vec(&caps.today())?)?;
        }
        Ok(())
    }
}

/// What was asked and spent today, as it was last written down.
fn noted(place: &Path) -> BTreeMap<String, Today> {
    std::fs::read(place).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

#[cfg(unix)]
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn stop_signal() {
    drop(tokio::signal::ctrl_c().await);
}

/// Until SIGHUP; false where there is no such signal.
#[cfg(unix)]
async fn hang_up() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::hangup()) {
        Ok(mut hang_up) => hang_up.recv().await.is_some(),
        Err(_) => false,
    }
}

#[cfg(not(unix))]
async fn hang_up() -> bool {
    false
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let count = text.parse::<usize>().ok().filter(|&count| count > 0 && count <= usize::MAX >> 4);
    count.ok_or_else(|| format!("expected at least 1, found `{text}`"))
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|&seconds| seconds > 0.0 && seconds <= 1e6);
    seconds.ok_or_else(|| format!("expected seconds above 0, found `{text}`"))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("expected a share from 0 to 1, found `{text}`"))
}

fn dollars(text: &str) -> Result<f64, String> {
    let dollars = text.parse::<f64>().ok().filter(|dollars| dollars.is_finite() && *dollars >= 0.0);
    dollars.ok_or_else(|| format!("expected dollars from 0 up, found `{text}`"))
}
