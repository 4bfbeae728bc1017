//! Connections: how many there are, how long a head may take, and how all of them end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::limits::Limits;

/// Pause after a connection could not be accepted: there are no more file handles, say.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers connections until `stop`, then lets the requests in flight end. Says how many connections were cut because they
/// did not end in time.
pub async fn listen(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) -> usize {
    let (room, graceful) = (Arc::new(Semaphore::new(limits.connections)), GracefulShutdown::new());
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let permit = room.clone().acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            (permit, accepted) = accepted => match accepted {
                Ok((stream, _)) => (permit, stream),
                Err(_) => {
                    sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        connections.spawn(connection(stream, permit, router.clone(), limits, &graceful));
    }
    drop(listener);
    // Dropped at the end of its time, which cuts what is left.
    let drained = timeout(limits.drain, async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    });
    match drained.await {
        Ok(()) => 0,
        Err(_) => connections.len(),
    }
}

fn connection(
    stream: TcpStream,
    permit: Option<OwnedSemaphorePermit>,
    router: Router,
    limits: Limits,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        async move {
            let request = request.map(Body::new);
            Ok::<_, Infallible>(
                tower_service::Service::call(&mut router, request).await.unwrap_or_else(|never| match never {}),
            )
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    let served = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
    async move {
        let _permit = permit;
        // A client that breaks off is no fault of this server.
        let _ = served.await;
    }
}

/// A listener, and where it is.
pub struct Bound {
    pub listener: TcpListener,
    /// Host and port.
    pub address: String,
}

/// Listens at `address`, a host with a port. Only who asks for keys may listen where other machines reach it.
///
/// # Errors
/// It is no address, nobody may listen there, or other machines reach it and no keys are asked for.
pub async fn bind(address: &str, has_keys: bool) -> Result<Bound> {
    let cannot = || format!("cannot listen at `{address}`");
    let listener = TcpListener::bind(address).await.with_context(cannot)?;
    let local = listener.local_addr().with_context(cannot)?;
    ensure!(
        has_keys || local.ip().is_loopback(),
        "other machines can reach `{local}`, and no keys are required; hint: LAMAS_SERVER_KEYS, `--keys FILE`, or \
         `--listen 127.0.0.1:{}`",
        local.port()
    );
    Ok(Bound { listener, address: local.to_string() })
}
