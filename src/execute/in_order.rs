//! Runs many queries at once, with results in an order that does not depend on timing.

use std::future::Future;

use futures::StreamExt;

/// Awaits `runs`, at most `concurrency` at once, and returns their results in the original order. `is_last` sees each result in
/// that order; after one for which it is true, the rest is dropped.
pub async fn in_order<T>(
    runs: impl IntoIterator<Item = impl Future<Output = T>>,
    concurrency: usize,
    mut is_last: impl FnMut(&T) -> bool,
) -> Vec<T> {
    let mut running = futures::stream::iter(runs).buffered(concurrency.max(1));
    let mut ended = Vec::new();
    while let Some(outcome) = running.next().await {
        let is_last = is_last(&outcome);
        ended.push(outcome);
        if is_last {
            break;
        }
    }
    ended
}
