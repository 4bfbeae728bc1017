//! An OpenAI-compatible server that answers each request by a learned plan, within the time that the caller gives.
//!
//! A request passes `http` (who asks), `chat` (what is asked), `admitted` (whether there is room), and then `planned` or
//! `direct`. Whoever goes away drops the future that answers, and with it all calls.

mod admitted;
mod asked;
mod caller;
mod caps;
mod chat;
mod chat_request;
mod chunks;
mod cost;
mod direct;
mod driven;
mod explore;
mod fault;
mod fields;
mod gate;
mod guard;
mod http;
mod journal;
mod keys;
mod limits;
mod listen;
mod listener;
mod live;
mod metrics;
mod outcome;
mod page;
mod planned;
mod queue;
mod responses;
mod responses_request;
mod run;
mod service;
mod talk;
mod time;
mod wishes;

pub use caps::{Caps, Today};
pub use explore::{Exploration, Explorer};
pub use http::{administration, router};
pub use journal::Journal;
pub use keys::{Holder, Keys, Rights};
pub use limits::Limits;
pub use listen::{Bound, bind, listen};
pub use live::Live;
pub use run::{Run, Runs};
pub use service::{Reopen, Service};
