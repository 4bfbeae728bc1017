//! Server-sent events: bytes in, events out, in one pass, however the bytes are split.

/// Longest event, in bytes, and longest line.
pub const LONGEST_EVENT: usize = 8 << 20;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Empty where the server gives none.
    pub name: String,
    pub data: String,
}

/// An event, or a line of one, that is longer than [`LONGEST_EVENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Takes a stream apart. Lines end with LF, CR or both.
#[derive(Debug, Default)]
pub struct Events {
    /// The line that has not ended yet.
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// The last byte was a CR: an LF after it ends the same line.
    after_return: bool,
}

impl Events {
    /// Hands the events that end within `bytes` to `take`, which says whether to go on.
    ///
    /// # Errors
    /// The event under way is too long.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(Event) -> bool) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_return) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + self.event.data.len() + part.len() > LONGEST_EVENT {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            let Some((&end, rest)) = rest.split_first() else { break };
            bytes = rest;
            self.after_return = end == b'\r';
            if let Some(event) = self.end_line()
                && !take(event)
            {
                break;
            }
        }
        Ok(())
    }

    /// The event that a stream breaks off in, if it has any data.
    pub fn finish(&mut self) -> Option<Event> {
        if self.line.is_empty() { self.end_event() } else { self.end_line().or_else(|| self.end_event()) }
    }

    fn end_line(&mut self) -> Option<Event> {
        if self.line.is_empty() {
            return self.end_event();
        }
        let line = String::from_utf8_lossy(&self.line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        // Some servers put an error into a field of its own.
        if field == "error" {
            self.event.name = field.into();
        }
        match field {
            "data" | "error" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => self.event.name = value.to_owned(),
            // Comments, and fields that are of no use here.
            _ => {}
        }
        self.line.clear();
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Event>, TooLong> {
        let (mut events, mut found) = (Events::default(), Vec::new());
        for part in parts {
            events.push(part, |event| {
                found.push(event);
                true
            })?;
        }
        found.extend(events.finish());
        Ok(found)
    }

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.into() }
    }

    #[test]
    fn streams_are_read_as_the_standard_says() {
        let check = |text: &str, expected: &[Event]| {
            assert_eq!(read([text.as_bytes()]).as_deref(), Ok(expected), "{text:?}");
            // Every byte for itself.
            assert_eq!(read(text.as_bytes().chunks(1)).as_deref(), Ok(expected), "{text:?}");
        };
        let both = [event("", "a"), event("", "b")];
        for end in ["\n", "\r\n", "\r"] {
            check(&"data: a||data: b||".replace('|', end), &both);
            check(&"data:a|: a comment|id: 7|||:||data:b||".replace('|', end), &both);
        }
        check("data: a\r\r\ndata: b", &both);
        check("data: {\ndata:  1\ndata\n\n", &[event("", "{\n 1\n")]);
        check("event: ping\n\nevent: error\ndata: x\n\ndata: y\n\n", &[event("error", "x"), event("", "y")]);
        check("error: {}\n\n", &[event("error", "{}")]);
        check("data: \n\n", &[event("", "")]);
        check("retry: 3\nnonsense\n\n", &[]);
        assert_eq!(read([&b"data: \xff\n\n"[..]]), Ok(vec![event("", "\u{fffd}")]));
    }

    #[test]
    fn an_event_has_an_end() {
        let line = vec![b'x'; 1 << 20];
        let endless = |parts: usize| read(std::iter::once(&b"data: "[..]).chain(vec![&line[..]; parts]));
        assert_eq!(endless(7).map(|events| events[0].data.len()), Ok(7 << 20));
        assert_eq!(endless(8), Err(TooLong));
        let lines = [b"data: ", &line[..], b"\n"].concat();
        assert_eq!(read(vec![&lines[..]; 9]), Err(TooLong));
    }

    #[test]
    fn who_has_seen_enough_stops() {
        let (mut events, mut found) = (Events::default(), 0);
        let enough = |_| {
            found += 1;
            false
        };
        assert_eq!((events.push(b"data: a\n\ndata: b\n\n", enough), found), (Ok(()), 1));
    }

    proptest! {
        #[test]
        fn where_a_stream_is_cut_makes_no_difference(
            text in "([a-e:\r\n ]|data: ?|event:|\r\n|é){0,40}",
            cuts in prop::collection::vec(0usize..80, 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let starts = std::iter::once(0).chain(cuts.iter().copied());
            let parts: Vec<&[u8]> =
                starts.zip(cuts.iter().copied().chain([bytes.len()])).map(|(from, to)| &bytes[from..to]).collect();
            prop_assert_eq!(read(parts), read([bytes]));
        }
    }
}
