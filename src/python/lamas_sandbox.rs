//! `lamas-sandbox`, an executable in the Python package: it confines itself and becomes a model-written program. There the
//! process that runs operators is the Python interpreter, which cannot do that.

use anyhow::{Context, Result, bail};
use lamas::sandbox::{CHILD_COMMAND, Confinement};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [command, confinement] = &words[..] else { bail!("expected `{CHILD_COMMAND}` and a confinement in JSON") };
    if command != CHILD_COMMAND {
        bail!(
            "expected `{CHILD_COMMAND}`, found `{command}`; this program is for the sandbox of `lamas`, not for users"
        );
    }
    bail!("{}", Confinement::parse(confinement).context("expected a confinement in JSON")?.enter())
}
