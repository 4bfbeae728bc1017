//! Which model answers each operator. Models that are used are opened once; models that are only defined are not.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::Device;

use super::Settings;
use super::endpoints::{Endpoint, Endpoints};
use super::host::Host;
use super::model::{client, local, prices};
use super::recording::{Recording, Recordings};
use crate::model::openai::{Books, Key};
use crate::model::{Definition, Definitions, Fallback, Hedge, Hedger, LanguageModel, Mode, Price, Prices, Scripted};
use crate::model::{Error, openai::OpenAi};
use crate::operation::{Backing, Catalogue, Operator, Reserve};
use crate::plan::OperatorId;

/// What answers the prompts of a catalogue.
pub(super) struct Models {
    pub endpoints: Endpoints,
    pub recordings: Vec<Arc<Recording>>,
    /// One for each operator.
    pub backings: Vec<Backing>,
    /// A model that the flags name, and no operator asks.
    pub remark: Option<String>,
    /// The built-in model, which nobody named, is to answer a benchmark that it does not know.
    pub toy: Option<String>,
}

/// The models that operators may name: those of the catalogue, in their place those of the settings.
pub fn defined(settings: &Settings, catalogue: &Catalogue) -> Definitions {
    let mut defined = catalogue.models().clone();
    defined.extend(settings.models.clone());
    defined
}

/// The models that stand in for that of this name, one after another.
///
/// # Errors
/// One is not defined, or they stand in for each other in a circle.
pub fn reserve(defined: &Definitions, name: Option<&str>) -> Result<Vec<String>> {
    let (mut names, mut known) = (Vec::new(), name.map(str::to_owned).into_iter().collect::<Vec<String>>());
    while let Some(next) = known.last().and_then(|name| defined.get(name)?.fallback.clone()) {
        let from = known.last().cloned().unwrap_or_default();
        ensure!(
            defined.contains_key(&next),
            "model `{from}`: `fallback`: expected a model that is defined ({}), found `{next}`",
            defined.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
        );
        ensure!(
            !known.contains(&next),
            "model `{from}`: `fallback`: expected another model, found `{next}`, which leads back"
        );
        names.push(next.clone());
        known.push(next);
    }
    Ok(names)
}

/// Opens what answers the operators of a catalogue.
///
/// # Errors
/// Names the operator whose model is not defined or not said, the model that cannot be opened, that has no price or whose key
/// is missing, or a cap with nothing that it caps.
pub(super) fn open(settings: &Settings, host: &Host, catalogue: &Catalogue, device: &Device) -> Result<Models> {
    let mut opening = Opening {
        settings,
        host,
        device,
        defined: defined(settings, catalogue),
        prices: prices(settings.prices.as_deref())?,
        books: host.books.clone().unwrap_or_else(|| Arc::new(Books::new(&settings.endpoint))),
        endpoints: Vec::new(),
        served: BTreeMap::new(),
        recordings: Recordings::new(settings, host),
    };
    let ids = (0..=u16::MAX).map(OperatorId);
    let backing = |(id, operator)| opening.backing(operator).with_context(|| catalogue.place(id));
    let backings = ids.zip(catalogue.operators()).map(backing).collect::<Result<Vec<Backing>>>()?;
    let is_asked = opening.served.contains_key(&None) || !opening.names_default();
    let remark = "warning: the model of the flags or settings is not used: every operator names its own `[[model]]`";
    let remark = (!is_asked).then(|| remark.to_owned());
    let is_toy = opening.served.values().any(|served| served.is_built_in) && settings.model.is_none();
    let is_foreign = settings.benchmark.as_deref().is_some_and(|path| path.as_os_str() != "arithmetic");
    let toy = "warning: no model is named, so the built-in toy model answers, which knows only the built-in workload; hint: \
               `--endpoint URL --model-name NAME`, or `--model FILE`";
    let toy = (is_toy && is_foreign).then(|| toy.to_owned());
    let Opening { endpoints, recordings, .. } = opening;
    check_caps(settings, !endpoints.is_empty())?;
    Ok(Models { endpoints: Endpoints(endpoints), recordings: recordings.opened(), backings, remark, toy })
}

/// # Errors
/// There is a cap, and no endpoint that it could cap.
pub(super) fn check_caps(settings: &Settings, has_endpoints: bool) -> Result<()> {
    ensure!(
        !settings.endpoint.is_capped() || has_endpoints,
        "`--max-cost` and `--max-tokens` limit what endpoints are asked, and none is named; hint: `--model-name`"
    );
    Ok(())
}

/// A model that is open.
#[derive(Clone)]
struct Served {
    /// Of an endpoint the servers; a local model alone.
    servers: Vec<Arc<dyn LanguageModel>>,
    is_remote: bool,
    is_built_in: bool,
    prices: Prices,
    /// In place of the price list.
    price: Option<Price>,
}

impl Served {
    /// Of what requests call `asks`.
    fn price(&self, asks: &str) -> Result<Price> {
        let own = self.servers.first().map_or("", |model| model.id());
        self.price.map_or_else(|| self.prices.of(if asks.is_empty() { own } else { asks }), Ok)
    }
}

struct Opening<'a> {
    settings: &'a Settings,
    host: &'a Host,
    device: &'a Device,
    defined: Definitions,
    prices: Prices,
    books: Arc<Books>,
    endpoints: Vec<Endpoint>,
    /// By name; that of the flags, or the built-in one, by none.
    served: BTreeMap<Option<String>, Served>,
    recordings: Recordings<'a>,
}

impl Opening<'_> {
    /// Whether flags or settings name a model for all operators that name none.
    fn names_default(&self) -> bool {
        self.settings.endpoint.is_used() || self.settings.model.is_some()
    }

    fn backing(&mut self, operator: &Operator) -> Result<Backing> {
        let Some(name) = self.name(operator)? else {
            let refusal = || Err(Error::Permanent("expected no request of an operator without a prompt".into()));
            return Ok(Backing::new(Arc::new(Scripted::new("none", move |_| refusal())), Price::default()));
        };
        let asks = if self.defined.is_empty() { operator.model.clone() } else { String::new() };
        let own = self.served(name.as_deref())?;
        let price = own.price(&asks).with_context(|| format!("price of operator `{}`", operator.name))?;
        ensure!(
            asks.is_empty() || own.is_remote || own.servers.iter().all(|model| model.id() == asks),
            "expected no `model`, found `{asks}`: the local model `{}` answers for all; hint: remove its `model` from the \
             catalogue, ask an endpoint (`--model-name`), or define it in a `[[model]]` table",
            own.servers.first().map_or("", |model| model.id())
        );
        let hedgers = self.hedgers(operator, &own, &asks)?;
        let model: Arc<dyn LanguageModel> = match hedgers.len() {
            1 => own.servers.first().context("expected a server, found none")?.clone(),
            _ => Arc::new(Hedge::new(hedgers)),
        };
        let model = self.recordings.before(model, own.is_built_in)?;
        let (model, reserve) = self.in_reserve(name.as_deref(), model)?;
        let shown = match &name {
            Some(name) => format!("{name} ({})", model.id()),
            None if asks.is_empty() => model.id().to_owned(),
            None => asks.clone(),
        };
        Ok(Backing { model, asks, shown, price, reserve })
    }

    /// A model with those that its table names for when it does not answer. Only a server asks them: what is learned or
    /// measured is of one model.
    fn in_reserve(
        &mut self,
        name: Option<&str>,
        model: Arc<dyn LanguageModel>,
    ) -> Result<(Arc<dyn LanguageModel>, Vec<Reserve>)> {
        let names = reserve(&self.defined, name)?;
        if names.is_empty() || self.host.books.is_none() {
            return Ok((model, Vec::new()));
        }
        let (mut hedgers, mut reserve) = (Vec::new(), Vec::new());
        for name in names {
            let other = self.served(Some(&name))?;
            let own = other.servers.first().context("expected a server, found none")?.clone();
            let (id, shown) = (own.id().to_owned(), format!("{name} ({})", own.id()));
            reserve.push(Reserve { id, shown, ..Reserve::default() });
            hedgers.push(Hedger { price: other.price("")?, model: own });
        }
        Ok((Arc::new(Fallback::new(model, hedgers)), reserve))
    }

    /// The model of an operator, which has a name where one is defined; none for one that asks none.
    fn name(&self, operator: &Operator) -> Result<Option<Option<String>>> {
        let named = |name: &str| {
            let known: Vec<&str> = self.defined.keys().map(String::as_str).collect();
            ensure!(
                self.defined.contains_key(name),
                "expected a model that is defined ({}), found `{name}`; hint: add a `[[model]]` table with \
                 `name = \"{name}\"` to the catalogue or to the settings",
                known.join(", ")
            );
            Ok(Some(Some(name.to_owned())))
        };
        if self.defined.is_empty() || operator.model.is_empty() && self.names_default() {
            return Ok(Some(None));
        }
        let only = self.defined.keys().next().filter(|_| self.defined.len() == 1);
        match (operator.model.as_str(), only) {
            ("", Some(only)) => named(only),
            ("", None) if operator.prompt.is_none() => Ok(None),
            ("", None) => {
                let known: Vec<&str> = self.defined.keys().map(String::as_str).collect();
                let hint = "hint: `model = \"NAME\"`, or `--model-name` for all that name none";
                anyhow::bail!("expected which of the models ({}) it asks, found none; {hint}", known.join(", "))
            }
            (name, _) => named(name),
        }
    }

    /// Those who answer a request of the operator, itself among them.
    fn hedgers(&mut self, operator: &Operator, own: &Served, asks: &str) -> Result<Vec<Hedger>> {
        let mut hedgers = Vec::new();
        let wanted = operator.hedge as usize;
        ensure!(
            wanted == 1 || own.is_remote,
            "`hedge` sends a request to several servers, and a local model answers this operator; hint: take it out"
        );
        let price = own.price(asks)?;
        let [first, replicas] = [&own.servers[..own.servers.len().min(1)], own.servers.get(1..).unwrap_or_default()];
        hedgers.extend(first.iter().map(|model| Hedger { model: model.clone(), price }));
        for name in &operator.hedge_with {
            let known: Vec<&str> = self.defined.keys().map(String::as_str).collect();
            ensure!(
                self.defined.contains_key(name),
                "`hedge_with`: expected a model that is defined ({}), found `{name}`",
                known.join(", ")
            );
            let other = self.served(Some(name))?;
            ensure!(other.is_remote, "`hedge_with`: expected models of endpoints, found the local model `{name}`");
            let (price, model) = (other.price("")?, other.servers.first().context("expected a server, found none")?);
            hedgers.push(Hedger { model: model.clone(), price });
        }
        let more = replicas.iter().chain(first).chain(replicas.iter().chain(first).cycle());
        let missing = wanted.saturating_sub(hedgers.len());
        hedgers.extend(more.take(missing).map(|model| Hedger { model: model.clone(), price }));
        Ok(hedgers)
    }

    /// The model of that name, or that of the flags.
    fn served(&mut self, name: Option<&str>) -> Result<Served> {
        let key = name.map(str::to_owned);
        if let Some(served) = self.served.get(&key) {
            return Ok(served.clone());
        }
        let served = match name.and_then(|name| Some((name, self.defined.get(name)?.clone()))) {
            Some((name, definition)) => self.open(name, &definition).with_context(|| definition.describe(name))?,
            None => self.open_default()?,
        };
        self.served.insert(key, served.clone());
        Ok(served)
    }

    fn open(&mut self, name: &str, definition: &Definition) -> Result<Served> {
        if let Some(folder) = &definition.folder {
            return self.local(Some(folder), definition.prices);
        }
        let (key, reserve) = (self.key(definition)?, reserve(&self.defined, Some(name))?);
        let mut prices = self.prices.clone();
        if let Some((model, price)) = definition.model.clone().zip(definition.prices) {
            prices.0.insert(model, price);
        }
        let id = definition.model.as_deref().unwrap_or_default();
        prices.of(id).ok().with_context(|| {
            format!(
                "expected its price, found none for `{id}` in the price list; hint: `prices = {{ prompt = DOLLARS, completion = \
                 DOLLARS }}` in its table, for a million tokens"
            )
        })?;
        let urls: Vec<&str> = definition.servers().collect();
        let mut servers: Vec<Arc<OpenAi>> = Vec::new();
        for url in &urls {
            let config = definition.config(&self.settings.endpoint, url);
            let name = if urls.len() > 1 { format!("{name} at {}", config.base_url()?) } else { name.to_owned() };
            let client = client(config, key.clone(), &prices, self.host)?;
            let client = if let Some(first) = servers.first() { client.beside(first) } else { client };
            servers.push(self.add(Some(name), client, &reserve));
        }
        let servers = servers.into_iter().map(|server| server as Arc<dyn LanguageModel>).collect();
        Ok(Served { servers, is_remote: true, is_built_in: false, prices, price: definition.prices })
    }

    fn open_default(&mut self) -> Result<Served> {
        let settings = self.settings;
        if !settings.endpoint.is_used() {
            return self.local(settings.local_model(), None);
        }
        let client = client(settings.endpoint.clone(), self.host.key.clone(), &self.prices, self.host)?;
        let prices = client.prices().clone();
        let servers: Vec<Arc<dyn LanguageModel>> = vec![self.add(None, client, &[])];
        Ok(Served { servers, is_remote: true, is_built_in: false, prices, price: None })
    }

    /// A model in this process: it costs what its table, the flag or the price list says, and else nothing.
    fn local(&self, path: Option<&std::path::Path>, price: Option<Price>) -> Result<Served> {
        let model: Arc<dyn LanguageModel> =
            Arc::new(local(path, self.settings, self.device, self.host.shows_progress)?);
        let (is_built_in, prices) = (path.is_none(), self.prices.clone());
        let listed = prices.of(model.id()).ok();
        let price = price.or(self.settings.endpoint.price.map(Price::flat)).or(listed).or(Some(Price::flat(0.0)));
        Ok(Served { servers: vec![model], is_remote: false, is_built_in, prices, price })
    }

    fn add(&mut self, name: Option<String>, client: OpenAi, reserve: &[String]) -> Arc<OpenAi> {
        let client = Arc::new(match self.host.books {
            Some(_) => client.booked(&self.books),
            None => client.sharing(self.books.purse()),
        });
        self.endpoints.push(Endpoint { name, client: client.clone(), reserve: reserve.to_vec() });
        client
    }

    /// The key of a model, where it takes one.
    fn key(&self, definition: &Definition) -> Result<Key> {
        let Some(variable) = &definition.key_env else { return Ok(Key::default()) };
        let key = self.host.key_of(variable);
        // What is only replayed asks nobody.
        ensure!(
            !key.is_absent() || self.settings.cache_mode == Some(Mode::Replay),
            "expected its key in the environment variable `{variable}`, found none; hint: `export {variable}=KEY`, or take \
             `key_env` out of its table where the server asks for none"
        );
        Ok(key)
    }
}
