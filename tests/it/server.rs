//! A server on the wire, in the test's own process: reads HTTP/1.1 and answers as a script says, faults included.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does with a request.
pub enum Reply {
    /// A status, further header lines, and a body.
    Whole(u16, &'static str, String),
    /// The data of each event of a stream, and how it ends.
    Events(Vec<String>, End),
    /// The data of each event of a stream, one after each pause, counted as it is written, until the client hangs up.
    Paced(Vec<String>, Duration, Arc<AtomicU64>),
    /// A body that is shorter than announced.
    CutBody(String),
    /// These bytes and nothing else, written part by part; then the connection is closed.
    Raw(Vec<Vec<u8>>),
    /// These bytes, then those again and again until the client hangs up, counted as they are written.
    Endless(Vec<u8>, Vec<u8>, Arc<AtomicU64>),
    /// The connection stays open and silent.
    Silence,
    /// The connection is closed without a word.
    Close,
}

/// How a stream ends.
#[derive(Clone, Copy, PartialEq)]
pub enum End {
    /// As it should.
    Clean,
    /// In the middle of a chunk.
    Cut,
    /// Not at all: the connection stays open.
    Open,
}

/// A request as it came.
#[derive(Clone)]
pub struct Seen {
    pub head: String,
    pub body: Value,
}

pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    probes: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves on a free port of the loopback interface; `script` gets each request with its number, from 0. Which models
    /// there are it does not say.
    pub async fn start(script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::listing(|| refusal(404, "", "not_found", "no such method"), script).await
    }

    /// As [`Server::start`], with `models` for an answer to who asks for the list of models.
    pub async fn listing(
        models: impl Fn() -> Reply + Send + Sync + 'static,
        script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket"));
        let (seen, script, models) = (Arc::new(Mutex::new(Vec::new())), Arc::new(script), Arc::new(models));
        let probes = Arc::new(AtomicU64::new(0));
        let (log, probed) = (seen.clone(), probes.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, script, models, probed) = (log.clone(), script.clone(), models.clone(), probed.clone());
                tokio::spawn(async move {
                    // The client may hang up at any time.
                    let _ = serve(stream, |request| {
                        if request.head.starts_with("GET ") {
                            probed.fetch_add(1, Ordering::Relaxed);
                            return models();
                        }
                        let number = {
                            let mut log = log.lock().expect("no panic");
                            log.push(request.clone());
                            log.len() - 1
                        };
                        script(number, &request.body)
                    })
                    .await;
                });
            }
        });
        Server { url, seen, probes, accepting }
    }

    /// Closes the port: from now on connections are refused.
    pub async fn close(mut self) {
        self.accepting.abort();
        // It ends as aborted.
        let _ = (&mut self.accepting).await;
    }

    /// How often the list of models was asked for.
    pub fn probes(&self) -> u64 {
        self.probes.load(Ordering::Relaxed)
    }

    /// The requests so far, without those for the list of models.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, script: impl FnOnce(&Seen) -> Reply) -> std::io::Result<()> {
    let Some(request) = read(&mut stream).await? else { return Ok(()) };
    match script(&request) {
        Reply::Whole(status, headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
            stream.write_all(format!("{head}connection: close\r\n{headers}\r\n{body}").as_bytes()).await?;
        }
        Reply::Events(events, end) => {
            stream.write_all(STREAM.as_bytes()).await?;
            for event in events {
                write(&mut stream, &event).await?;
            }
            match end {
                End::Clean => stream.write_all(b"0\r\n\r\n").await?,
                End::Cut => stream.write_all(b"40\r\ndata: {\"choi").await?,
                End::Open => wait(&mut stream).await?,
            }
        }
        Reply::Paced(events, pause, written) => {
            stream.write_all(STREAM.as_bytes()).await?;
            for event in events {
                let mut rest = [0; 64];
                tokio::select! {
                    biased;
                    _ = stream.read(&mut rest) => return Ok(()),
                    () = tokio::time::sleep(pause) => {}
                }
                write(&mut stream, &event).await?;
                written.fetch_add(1, Ordering::Relaxed);
            }
            stream.write_all(b"0\r\n\r\n").await?;
        }
        Reply::CutBody(body) => {
            let length = body.len() + 40;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
            stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await?;
        }
        Reply::Raw(parts) => {
            stream.set_nodelay(true)?;
            for part in parts {
                stream.write_all(&part).await?;
                stream.flush().await?;
            }
        }
        Reply::Endless(start, part, written) => {
            stream.write_all(&start).await?;
            loop {
                stream.write_all(&part).await?;
                written.fetch_add(part.len() as u64, Ordering::Relaxed);
            }
        }
        Reply::Silence => wait(&mut stream).await?,
        Reply::Close => {}
    }
    stream.shutdown().await
}

/// A response of these header lines, each with its end, and this body, whose end is that of the connection.
pub fn raw(head: &str, body: &[u8]) -> Reply {
    Reply::Raw(vec![response(head, body)])
}

/// The bytes of [`raw`].
pub fn response(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{head}\r\n").as_bytes(), body].concat()
}

/// The head of a stream of events.
const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\
                      transfer-encoding: chunked\r\n\r\n";

async fn write(stream: &mut TcpStream, event: &str) -> std::io::Result<()> {
    let event = format!("data: {event}\n\n");
    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
    stream.flush().await
}

/// Until the client hangs up.
async fn wait(stream: &mut TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Seen>> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(Some(Seen { head: head.to_owned(), body: serde_json::from_str(body).unwrap_or_default() }));
            }
        }
        match stream.read(&mut part).await? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&part[..count]),
        }
    }
}

/// A whole answer.
pub fn whole(text: &str, prompt_tokens: u64, completion_tokens: u64) -> Reply {
    let message = json!({ "role": "assistant", "content": text });
    let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
    Reply::Whole(200, "", json!({ "choices": choices, "usage": usage(prompt_tokens, completion_tokens) }).to_string())
}

/// A streamed answer, word by word, with its usage after it.
pub fn streamed(text: &str, prompt_tokens: u64, completion_tokens: u64) -> Reply {
    let mut events = words(text);
    events.push(json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] }).to_string());
    events.push(json!({ "choices": [], "usage": usage(prompt_tokens, completion_tokens) }).to_string());
    events.push("[DONE]".into());
    Reply::Events(events, End::Clean)
}

/// The events of a text, without an end.
pub fn words(text: &str) -> Vec<String> {
    let role = json!({ "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "" } }] });
    let words =
        text.split_inclusive(' ').map(|word| json!({ "choices": [{ "index": 0, "delta": { "content": word } }] }));
    std::iter::once(role).chain(words).map(|event| event.to_string()).collect()
}

pub fn usage(prompt_tokens: u64, completion_tokens: u64) -> Value {
    json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    })
}

/// An error as OpenAI words it.
pub fn refusal(status: u16, headers: &'static str, code: &str, message: &str) -> Reply {
    let error = json!({ "message": message, "type": code, "param": null, "code": code });
    Reply::Whole(status, headers, json!({ "error": error }).to_string())
}
