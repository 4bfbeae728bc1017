//! Opens a trained controller, answers a question within a budget and prints what happens, as any program can:
//! `cargo run --release --example answer -- runs/RUN "QUESTION" [BUDGET]`.

use anyhow::{Context, Result};
use lamas::agent::{Agent, Ask};
use lamas::execute::{Event, Observer};

struct Printer;

impl Observer for Printer {
    fn hear(&self, event: &Event<'_>) {
        println!("{event}");
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let run = words.next().context("expected the folder of a run, found nothing")?;
    let question = words.next().context("expected a question, found nothing")?;
    let within = words.next().map(|budget| budget.parse()).transpose()?;

    let agent = Agent::open(&run).await?;
    let answered = agent.answer(&question, Ask { within, observer: Some(&Printer), ..Ask::default() }).await?;
    println!("answer: {}", answered.answer.as_deref().unwrap_or("none found"));
    Ok(())
}
