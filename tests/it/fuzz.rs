//! Laws of the client for any bytes that a server may send: no panic, an end within bounds, and the right text wherever
//! the bytes are cut.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use lamas::model::openai::EndpointConfig;
use lamas::model::{Completion, Error, LanguageModel};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::endpoint::{client, config, request};
use crate::server::{Reply, Server, response};

/// Longer than any of these calls takes on a busy machine; a call that reads for ever takes longer.
const SOON: Duration = Duration::from_secs(60);

/// One server for all cases; it answers every request, also the one for the models, with the same parts.
struct Place {
    runtime: Runtime,
    server: Server,
    parts: Arc<Mutex<Vec<Vec<u8>>>>,
}

fn place() -> &'static Mutex<Place> {
    static PLACE: OnceLock<Mutex<Place>> = OnceLock::new();
    PLACE.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let parts: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (listed, answered) = (parts.clone(), parts.clone());
        let reply = |parts: &Mutex<Vec<Vec<u8>>>| Reply::Raw(parts.lock().expect("no panic").clone());
        let server = runtime.block_on(Server::listing(move || reply(&listed), move |_, _| reply(&answered)));
        Mutex::new(Place { runtime, server, parts })
    })
}

/// What the client makes of these bytes.
fn call(parts: Vec<Vec<u8>>) -> Result<Completion, Error> {
    let place = place().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *place.parts.lock().expect("no panic") = parts;
    let config = EndpointConfig { attempts: 1, stall_seconds: 1.0, total_seconds: 5.0, ..config(&place.server) };
    let started = Instant::now();
    let result =
        place.runtime.block_on(async { client(config).expect("a client").complete(&request("3 + 5", 0)).await });
    assert!(started.elapsed() < SOON);
    result
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory")
}

/// Cuts bytes at these positions.
fn cut(bytes: &[u8], places: &[Index]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

/// A body as HTTP chunks, one for each part.
fn chunked(parts: &[Vec<u8>]) -> Vec<u8> {
    let parts = parts.iter().filter(|part| !part.is_empty());
    let mut bytes: Vec<u8> =
        parts.flat_map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()).collect();
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// How a stream is written.
#[derive(Clone, Debug)]
struct Writing {
    end: &'static str,
    space: bool,
    comments: bool,
    mark: bool,
    escapes: bool,
    head: &'static str,
    gzip: bool,
}

fn writing() -> impl Strategy<Value = Writing> {
    let end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let head = prop::sample::select(vec![
        "content-type: text/event-stream\r\n",
        "content-type: Text/Event-Stream;charset=utf-8\r\n",
        "content-type: application/json\r\n",
        "",
    ]);
    (end, head, any::<[bool; 5]>()).prop_map(|(end, head, [space, comments, mark, escapes, gzip])| Writing {
        end,
        space,
        comments,
        mark,
        escapes,
        head,
        gzip,
    })
}

/// JSON with everything beyond ASCII escaped.
fn escaped(json: &str) -> String {
    let mut units = [0; 2];
    let letter = |letter: char| match letter.is_ascii() {
        true => letter.to_string(),
        false => letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    json.chars().map(letter).collect()
}

fn stream(words: &[String], writing: &Writing) -> Vec<u8> {
    let Writing { end, space, comments, mark, escapes, .. } = *writing;
    let delta = |word: &String| json!({ "choices": [{ "index": 0, "delta": { "content": word } }] });
    let last = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let mut text = String::from(if mark { "\u{feff}" } else { "" });
    for event in words.iter().map(delta).chain([last]) {
        let json = if escapes { escaped(&event.to_string()) } else { event.to_string() };
        let (space, comment) =
            (if space { " " } else { "" }, if comments { format!(": busy{end}{end}") } else { String::new() });
        text += &format!("{comment}data:{space}{json}{end}{end}");
    }
    text += &format!("data: [DONE]{end}{end}");
    text.into_bytes()
}

/// Valid responses as servers send them, to be damaged.
fn sound() -> impl Strategy<Value = Vec<u8>> {
    let body = json!({
        "id": "x", "choices": [{ "index": 0, "message": { "role": "assistant", "content": "the answer is 8" },
        "finish_reason": "stop" }], "usage": { "prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17 },
    })
    .to_string();
    let words = ["the ".to_owned(), "größer 数 ".into(), "8".into()];
    let plain = Writing { end: "\n", space: true, comments: true, mark: true, escapes: true, head: "", gzip: false };
    let events = stream(&words, &plain);
    let packed = gzip(&events);
    let limit = b"HTTP/1.1 429 no\r\nretry-after: 0\r\nx-ratelimit-reset-tokens: 6m0s\r\nconnection: close\r\n\r\n";
    let refused = br#"HTTP/1.1 400 no

{"error": {"message": "seed and stream are not supported", "code": null, "param": "seed", "type": "x"}}"#;
    prop::sample::select(vec![
        response(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()), body.as_bytes()),
        response("content-type: text/event-stream\r\n", &events),
        response(
            "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n",
            &chunked(&[events.clone(), events]),
        ),
        response("content-encoding: gzip\r\n", &packed),
        response("content-encoding: deflate\r\n", &packed[10..]),
        [&limit[..], br#"{"error": {"message": "slow down", "code": 429}}"#].concat(),
        refused.to_vec(),
    ])
}

#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Put(Index, Vec<u8>),
    Flip(Index, u8),
    Repeat(Index, Index),
    Remove(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let telling = prop::sample::select(vec![
        &b"\r\n"[..],
        b"\n\n",
        b"\x00",
        b"\xef\xbb\xbf",
        b"\xff",
        b"data:",
        b"null",
        b"[",
        b"{",
        b"\"",
        b"-1",
        b"1e999",
        b"\\ud800",
        b"\x1f\x8b\x08",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"\x1b[2J",
    ])
    .prop_map(<[u8]>::to_vec);
    let put = prop_oneof![telling, prop::collection::vec(any::<u8>(), 0..8)];
    let pair = || (any::<Index>(), any::<Index>());
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), put).prop_map(|(place, bytes)| Damage::Put(place, bytes)),
        (any::<Index>(), 1..=255_u8).prop_map(|(place, bits)| Damage::Flip(place, bits)),
        pair().prop_map(|(from, to)| Damage::Repeat(from, to)),
        pair().prop_map(|(from, to)| Damage::Remove(from, to)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let at = |place: &Index| place.index(bytes.len() + 1);
        let range = |from: &Index, to: &Index| at(from).min(at(to))..at(from).max(at(to));
        match damage {
            Damage::Cut(place) => bytes.truncate(at(place)),
            Damage::Put(place, part) => {
                let place = at(place);
                bytes.splice(place..place, part.iter().copied());
            }
            Damage::Flip(place, bits) => {
                let place = at(place);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= bits;
                }
            }
            Damage::Repeat(from, to) => {
                let range = range(from, to);
                let (place, part) = (range.end, bytes[range].to_vec());
                bytes.splice(place..place, part);
            }
            Damage::Remove(from, to) => drop(bytes.drain(range(from, to))),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sound_stream_gives_its_text_however_it_is_written_and_cut(
        words in prop::collection::vec("\\PC{0,12}|[\r\n\t\"\\\\ ]{1,3}", 0..6),
        writing in writing(),
        places in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let body = stream(&words, &writing);
        let body = if writing.gzip { gzip(&body) } else { body };
        // Cut once for HTTP and once for the wire.
        let bytes = response(&format!("{}transfer-encoding: chunked\r\n", writing.head), &chunked(&cut(&body, &places)));
        let text = call(cut(&bytes, &places)).map(|completion| completion.text).map_err(|error| error.to_string());
        prop_assert_eq!(text, Ok(words.concat()));
    }

    #[test]
    fn damaged_answers_do_no_harm(
        sound in sound(),
        damages in prop::collection::vec(damage(), 1..5),
        places in prop::collection::vec(any::<Index>(), 0..3),
    ) {
        let bytes = damaged(sound, &damages);
        let length = bytes.len();
        if let Ok(completion) = call(cut(&bytes, &places)) {
            // Each byte on the wire gives at most one letter, unless it was compressed.
            prop_assert!(completion.text.len() <= 3 * length.max(1 << 12));
        }
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), has_head in any::<bool>()) {
        let bytes = if has_head { response("content-type: text/event-stream\r\n", &bytes) } else { bytes };
        if let Err(error) = call(vec![bytes]) {
            let has_command = error.to_string().contains('\u{1b}');
            prop_assert!(!has_command);
        }
    }
}
