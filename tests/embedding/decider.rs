//! A decider of your own, beside a trained controller: it gets a second opinion by asking two operators, and a third
//! only if they differ. `cargo run --release --example decider -- runs/RUN FIRST SECOND THIRD`, with operators of the
//! run's catalogue.

use anyhow::{Context, Result};
use lamas::agent::Agent;
use lamas::decide::{Decider, Next};
use lamas::evaluate::statistics::{interval, mean};
use lamas::evidence::Known;
use lamas::execute::SolveOptions;
use lamas::plan::{Layer, OperatorId};
use lamas::random::Purpose;

struct SecondOpinion([OperatorId; 3]);

impl Decider for SecondOpinion {
    fn next(&mut self, known: &Known<'_>) -> Next {
        let [first, second, third] = self.0;
        let answers = known.answers();
        match known.layers {
            0 => Next::Commit(vec![Layer { operators: vec![first, second] }]),
            1 if known.is_under_way() => Next::Wait,
            1 if answers.windows(2).any(|pair| pair[0] != pair[1]) => {
                Next::Commit(vec![Layer { operators: vec![third] }])
            }
            _ => Next::Wait,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [run, names @ ..] = &words[..] else { anyhow::bail!("expected the folder of a run, found nothing") };
    let agent = Agent::open(run).await?;
    let (solver, objective) = (agent.solver(), agent.objective());
    let chosen = names.iter().map(|name| solver.catalogue().find(name)).collect::<Result<Vec<_>>>()?;
    let operators = <[OperatorId; 3]>::try_from(chosen).ok().context("expected three operators")?;
    let options = SolveOptions { unit: objective.unit, ..agent.options() };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for problem in solver.problems("test")? {
        let episode =
            solver.solve(&problem, &mut SecondOpinion(operators), Purpose::Evaluation.draw(0), &options).await?;
        theirs.push(objective.utility(episode.score, &episode.trace));
        let episode = agent.solve(&problem, Purpose::Evaluation.draw(0)).await?;
        ours.push(objective.utility(episode.score, &episode.trace));
    }
    let gains: Vec<f64> = theirs.iter().zip(&ours).map(|(theirs, ours)| theirs - ours).collect();
    let gain = interval(&gains, 0);
    println!("{} problems; utility of the rule {:.4}, of the controller {:.4}", ours.len(), mean(&theirs), mean(&ours));
    println!("the rule gains {:+.4}, from {:+.4} to {:+.4}", gain.mean, gain.low, gain.high);
    Ok(())
}
