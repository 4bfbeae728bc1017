//! A process that confines itself and becomes the interpreter.

use anyhow::{Error, Result};

use super::Confinement;
#[cfg(target_os = "linux")]
use super::linux;

impl Confinement {
    /// Restricts this process irrevocably and turns it into the interpreter. Returns only on failure, with the message
    /// for standard error.
    pub fn enter(&self) -> String {
        let Err(error) = self.try_enter();
        format!("{}{error:#}", self.nonce)
    }

    #[cfg(target_os = "linux")]
    fn try_enter(&self) -> Result<std::convert::Infallible> {
        let mut command = self.command();
        linux::confine(self)?;
        let error = std::os::unix::process::CommandExt::exec(&mut command);
        Err(Error::new(error).context(format!("cannot execute `{}`", self.executable.display())))
    }

    #[cfg(not(target_os = "linux"))]
    fn try_enter(&self) -> Result<std::convert::Infallible> {
        Err(Error::msg(format!("expected Linux, found {}", std::env::consts::OS)))
    }
}
