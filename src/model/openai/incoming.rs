//! The body of a response as it arrives: decompressed, bounded in size and in time.

use std::io::{self, Write};
use std::mem::take;
use std::time::Duration;

use flate2::write::{GzDecoder, ZlibDecoder};
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use tokio::time::{Instant, timeout_at};

use super::network_error::describe;

/// Longest body, in bytes, out of its compression.
pub const LONGEST_BODY: usize = 32 << 20;
/// Compressed bytes that are looked at together. They hold at most a thousand times as many.
const TOGETHER: usize = 1 << 10;
/// First two bytes of what gzip has compressed; no text begins so.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why no more of a body comes.
#[derive(Debug, PartialEq)]
pub enum Cut {
    /// The time for the whole answer is over.
    Late,
    /// Nothing came for too long.
    Quiet,
    TooLong {
        most: usize,
    },
    Broken(String),
}

/// A body under way.
pub struct Incoming {
    response: Response,
    coding: Coding,
    /// What has come and is still compressed.
    rest: Vec<u8>,
    /// Whether all has come.
    is_whole: bool,
    taken: usize,
    /// Most bytes that are taken.
    pub most: usize,
    /// When the time for the whole answer is over.
    until: Instant,
    /// The end of patience that has passed already.
    overdue: Option<Instant>,
}

impl Incoming {
    pub fn new(response: Response, until: Instant) -> Self {
        let coding = Coding::Undecided { deflates: encodings(response.headers()).any(|name| name == "deflate") };
        Incoming {
            response,
            coding,
            rest: Vec::new(),
            is_whole: false,
            taken: 0,
            most: LONGEST_BODY,
            until,
            overdue: None,
        }
    }

    /// The next bytes, of which there is at least one; none at the end. `quiet` is when patience ends.
    pub async fn next(&mut self, quiet: Instant) -> Result<Option<Vec<u8>>, Cut> {
        loop {
            // A server that never pauses keeps timers from being asked.
            if Instant::now() >= self.until {
                return Err(Cut::Late);
            }
            let bytes = match self.decoded() {
                Ok(bytes) => bytes,
                Err(error) => return Err(Cut::Broken(error.to_string())),
            };
            if !bytes.is_empty() {
                self.taken = self.taken.saturating_add(bytes.len());
                return if self.taken > self.most { Err(Cut::TooLong { most: self.most }) } else { Ok(Some(bytes)) };
            }
            if !self.rest.is_empty() && self.coding.is_decided() {
                continue;
            }
            if self.is_whole {
                return Ok(None);
            }
            // What came while this machine was busy with something else is taken, but only once.
            if Instant::now() >= quiet && self.overdue.replace(quiet) == Some(quiet) {
                return Err(Cut::Quiet);
            }
            match timeout_at(quiet.min(self.until), self.response.chunk()).await {
                Ok(Ok(Some(bytes))) => self.rest.extend_from_slice(&bytes),
                Ok(Ok(None)) => self.is_whole = true,
                Ok(Err(error)) => return Err(Cut::Broken(describe(error))),
                Err(_) => {}
            }
        }
    }

    /// Some of what has come, as it was before it was compressed.
    fn decoded(&mut self) -> io::Result<Vec<u8>> {
        if let Coding::Undecided { deflates } = self.coding {
            if self.rest.len() < GZIP.len() && !self.is_whole {
                return Ok(Vec::new());
            }
            self.coding = Coding::of(&self.rest, deflates);
        }
        if let Coding::Plain = self.coding {
            return Ok(take(&mut self.rest));
        }
        let part = &self.rest[..self.rest.len().min(TOGETHER)];
        let (read, bytes) = self.coding.decode(part)?;
        if read == 0 && bytes.is_empty() {
            // Whatever stands behind the end.
            self.rest.clear();
        }
        self.rest.drain(..read);
        Ok(bytes)
    }
}

fn encodings(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let names = headers.get_all(CONTENT_ENCODING).into_iter().filter_map(|names| names.to_str().ok());
    names.flat_map(|names| names.split(',')).map(|name| name.trim().to_lowercase())
}

/// How a body is compressed. Its bytes say so rather than its header, which may be wrong.
enum Coding {
    Undecided { deflates: bool },
    Plain,
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
}

impl Coding {
    fn of(start: &[u8], deflates: bool) -> Self {
        // The method in the low bits of the first byte, and both bytes as one number a multiple of 31.
        let is_zlib = matches!(start, [first, second, ..]
            if first & 15 == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0);
        if start.starts_with(&GZIP) {
            Coding::Gzip(Box::new(GzDecoder::new(Vec::new())))
        } else if deflates && is_zlib {
            Coding::Deflate(Box::new(ZlibDecoder::new(Vec::new())))
        } else {
            Coding::Plain
        }
    }

    fn is_decided(&self) -> bool {
        !matches!(self, Coding::Undecided { .. })
    }

    /// How many bytes of `part` were read, and what they hold.
    fn decode(&mut self, part: &[u8]) -> io::Result<(usize, Vec<u8>)> {
        match self {
            Coding::Gzip(decoder) => {
                let read = decoder.write(part)?;
                drain(&mut **decoder, |decoder| decoder.get_mut()).map(|bytes| (read, bytes))
            }
            Coding::Deflate(decoder) => {
                let read = decoder.write(part)?;
                drain(&mut **decoder, |decoder| decoder.get_mut()).map(|bytes| (read, bytes))
            }
            Coding::Undecided { .. } | Coding::Plain => Ok((part.len(), part.to_vec())),
        }
    }
}

/// All that a decoder can give for what it has read: it hands on what it holds whenever it is given something more.
fn drain<D: Write>(decoder: &mut D, output: fn(&mut D) -> &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        let before = output(decoder).len();
        let read = decoder.write(&[])?;
        if read == 0 && output(decoder).len() == before {
            return Ok(take(output(decoder)));
        }
    }
}

/// Bytes of an error that are read, and how long they are waited for.
const LONGEST_ERROR: usize = 1 << 20;
const ERROR_PATIENCE: Duration = Duration::from_secs(5);

/// The beginning of what a server says with an error, as far as it comes.
pub async fn error_body(response: Response, until: Instant) -> String {
    let until = until.min(Instant::now() + ERROR_PATIENCE);
    let mut incoming = Incoming::new(response, until);
    let mut body = Vec::new();
    while body.len() < LONGEST_ERROR
        && let Ok(Some(bytes)) = incoming.next(until).await
    {
        body.extend(bytes);
    }
    body.truncate(LONGEST_ERROR);
    String::from_utf8_lossy(&body).into_owned()
}
