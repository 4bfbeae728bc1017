//! Ctrl-C: the first asks the work to stop at the next safe point, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::llm::openai::OpenAi;

/// Listens for Ctrl-C on the current tokio runtime; the flag turns true at the first one, and nobody waits any longer for
/// an endpoint that is down or busy.
pub fn listen(endpoint: Option<Arc<OpenAi>>) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            if let Some(endpoint) = &endpoint {
                endpoint.stop_waiting("Ctrl-C");
            }
            eprintln!("\nstopping at the next safe point; press Ctrl-C again to stop at once");
        }
    });
    stop
}
