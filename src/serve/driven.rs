//! A body that is written while its work goes on; when nobody reads it any more, the work is dropped.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, Sleep, sleep};

/// A comment, which clients pass over.
const COMMENT: &[u8] = b": keep-alive\n\n";

/// The pieces that some work writes.
pub struct Driven {
    work: Option<BoxFuture<'static, ()>>,
    pieces: UnboundedReceiver<Bytes>,
    quiet: Duration,
    comment: Pin<Box<Sleep>>,
}

impl Driven {
    /// `work` gets what it writes by; a comment is written whenever nothing else is for so long.
    pub fn new<W>(quiet: Duration, work: impl FnOnce(UnboundedSender<Bytes>) -> W) -> Self
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (sender, pieces) = unbounded_channel();
        Driven { work: Some(Box::pin(work(sender))), pieces, quiet, comment: Box::pin(sleep(quiet)) }
    }
}

impl Stream for Driven {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(work) = &mut this.work
            && work.as_mut().poll(context).is_ready()
        {
            this.work = None;
        }
        if let Poll::Ready(piece) = this.pieces.poll_recv(context) {
            this.comment.as_mut().reset(Instant::now() + this.quiet);
            return Poll::Ready(piece.map(Ok));
        }
        if this.comment.as_mut().poll(context).is_ready() {
            this.comment.as_mut().reset(Instant::now() + this.quiet);
            let _ = this.comment.as_mut().poll(context);
            return Poll::Ready(Some(Ok(Bytes::from_static(COMMENT))));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_quiet_is_kept_alive_and_what_is_left_is_dropped() {
        let quiet = Duration::from_secs(5);
        let (dropped, gone) = tokio::sync::oneshot::channel::<()>();
        let mut body = Driven::new(quiet, |pieces| async move {
            let _dropped = dropped;
            let _ = pieces.send(Bytes::from_static(b"a"));
            sleep(Duration::from_secs(12)).await;
            let _ = pieces.send(Bytes::from_static(b"b"));
            std::future::pending::<()>().await;
        });
        for expected in [b"a", COMMENT, COMMENT, b"b".as_slice(), COMMENT] {
            assert_eq!(body.next().await.and_then(Result::ok).as_deref(), Some(expected));
        }
        drop(body);
        assert!(gone.await.is_err());
        let ended = Driven::new(quiet, |pieces| async move { drop(pieces.send(Bytes::from_static(b"a"))) });
        assert_eq!(ended.count().await, 1);
    }
}
