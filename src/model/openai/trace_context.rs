//! W3C's trace context: which caller's request this process works for, so that the traces of several programs join.

use std::fmt;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// A `traceparent` header. Whatever else its sender says (`tracestate`) is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

impl TraceContext {
    /// Reads a header of version 00, or the beginning of one of a later version; None if it is malformed, as the
    /// standard asks.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().splitn(5, '-');
        let mut hexadecimal = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            part.bytes().all(is_digit).then(|| u128::from_str_radix(part, 16).ok()).flatten()
        };
        let [version, trace, span, flags] = [hexadecimal(2)?, hexadecimal(32)?, hexadecimal(16)?, hexadecimal(2)?];
        let is_sound = version != 0xff && trace != 0 && span != 0 && (version > 0 || parts.next().is_none());
        let (span, flags) = (u64::try_from(span).ok()?, u8::try_from(flags).ok()?);
        // Of the flags only the first is defined.
        is_sound.then_some(TraceContext { trace, span, flags: flags & 1 })
    }

    /// A new span of the same trace.
    pub fn child(self) -> Self {
        TraceContext { span: rand::random::<u64>().max(1), ..self }
    }

    /// The trace, as 32 hexadecimal digits.
    pub fn trace(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The context of the work under way here.
    pub(super) fn current() -> Option<Self> {
        CURRENT.try_with(|context| *context).ok()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// Does some work for a caller: requests to endpoints carry the trace, if there is one.
pub async fn traced<T>(context: Option<TraceContext>, work: impl Future<Output = T>) -> T {
    match context {
        Some(context) => CURRENT.scope(context, work).await,
        None => work.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_standard_says() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let check = |header: &str, expected: Option<&str>| {
            let found = TraceContext::parse(header).map(|context| context.to_string());
            assert_eq!(found.as_deref(), expected, "{header}");
        };
        let sound = format!("00-{trace}-{span}-01");
        check(&sound, Some(&sound));
        check(&format!(" {sound} "), Some(&sound));
        check(&format!("00-{trace}-{span}-ff"), Some(&sound));
        check(&format!("01-{trace}-{span}-01-more"), Some(&sound));
        for fault in [
            String::new(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}-{span}-1"),
            format!("00-{trace}-+0f067aa0ba902b7-01"),
            "é".repeat(55),
        ] {
            check(&fault, None);
        }
        let context = TraceContext::parse(&sound).expect("a context");
        assert!(context.child().trace() == trace && context.child() != context);
    }
}
