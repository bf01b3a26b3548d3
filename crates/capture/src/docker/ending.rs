//! Compares what came by attaching with the log that the engine has of it.

use logboom_record::{Stream, Time};

use super::{
    attach::{Detached, LAST_BYTES},
    counted::{Beginning, Counter, beginning, entry_bytes_max},
    logs::{self, Entries},
};
use crate::{
    engine::{Container, Engine, EngineError, LogsQuery},
    services::feed::{Delivery, Place, Reached, StreamPlace},
};

/// So many of a log's last entries are compared with what came: the engine takes 7 ms for them.
const TAIL_ENTRIES: u32 = 1_000;

/// Whether the log of a container still begins with its first line. Of one that may have lost it all is read.
pub(super) async fn has_beginning(container: &Container, engine: &Engine) -> Result<bool, EngineError> {
    let bytes_max = match beginning(container) {
        Beginning::Kept => return Ok(true),
        Beginning::KeptUpTo(bytes) if bytes > 0 => bytes,
        Beginning::KeptUpTo(_) | Beginning::Unknown => return Ok(false),
    };
    let mut frames = match engine.logs(&container.id, container.framing(), &LogsQuery::default()).await {
        Err(error) if !error.is_lost() => return Ok(false),
        other => other?,
    };
    let mut bytes = 0;
    while bytes <= bytes_max
        && let Some(frame) = frames.next().await?
    {
        bytes += entry_bytes_max(container, frame.bytes.len());
    }
    Ok(bytes <= bytes_max)
}

/// The last entries of a log.
pub(super) struct Tail {
    entries: Delivery,
}

pub(super) async fn tail_of(container: &Container, engine: &Engine) -> Result<Option<Tail>, EngineError> {
    let query = LogsQuery { tail: Some(TAIL_ENTRIES), ..LogsQuery::default() };
    let mut frames = engine.logs(&container.id, container.framing(), &query).await?;
    let (mut parsed, mut entries) =
        (Entries::new(container.framing(), Reached::default()), logs::delivery(Time::now()));
    while let Some(frame) = frames.next().await? {
        if parsed.push(&frame, &mut entries).is_err() {
            return Ok(None);
        }
    }
    Ok(parsed.settle(true, &mut entries).is_ok().then_some(Tail { entries }))
}

impl Tail {
    /// Whether what came ends as this does. If this is the whole log, lines are counted as well.
    pub fn is_end_of(&self, detached: &Detached, container: &Container) -> bool {
        let mut texts = [Vec::new(), Vec::new()];
        let (mut counter, mut at) = (Counter::default(), 0);
        for piece in &self.entries.pieces {
            let end = at + piece.len as usize;
            let text = &self.entries.bytes[at..end];
            counter.push_entry(piece.stream, None, text, &mut Delivery::default());
            texts[usize::from(piece.stream == Stream::Stderr)].extend_from_slice(text);
            at = end;
        }
        let is_alike = texts.iter().zip(&detached.last).all(|(tail, last)| ends_alike(tail, last));
        let is_whole = self.entries.pieces.len() < TAIL_ENTRIES as usize && beginning(container) == Beginning::Kept;
        if is_whole {
            // One that is being removed may not have got the last of it.
            let [of_log, of_stream] = [lines(&counter), lines(&detached.counter)];
            return (0..2).all(|stream| of_log[stream] <= of_stream[stream]);
        }
        is_alike && !repeats(&texts)
    }

    /// The place behind these entries.
    pub fn reached(&self) -> Reached {
        let newest_ns = self.entries.pieces.iter().map(|piece| piece.at.part).max().unwrap_or(0);
        let [stdout, stderr] = [Stream::Stdout, Stream::Stderr].map(|stream| {
            let last = self.entries.pieces.iter().rfind(|piece| piece.stream == stream);
            let at = match last.map(|piece| piece.at) {
                Some(at) => Place { offset: at.offset + 1, ..at },
                // What it printed is before these entries, and what comes is behind them.
                None => Place { part: newest_ns, offset: 0 },
            };
            StreamPlace { at, ..StreamPlace::default() }
        });
        Reached { stdout, stderr }
    }
}

/// How many lines each stream had, the last one included that has no newline.
fn lines(counter: &Counter) -> [u64; 2] {
    let Reached { stdout, stderr } = counter.reached();
    [stdout, stderr].map(|stream| stream.at.part + u64::from(stream.at.offset > 0))
}

/// Whether a log that ends with `tail` ends as what came, of which `last` is remembered: all of it if it is less than
/// [`LAST_BYTES`]. A log in JSON has U+FFFD for what is no UTF-8; that may come out as different, and then the log is read.
fn ends_alike(tail: &[u8], last: &[u8]) -> bool {
    last.ends_with(tail) || (last.len() >= LAST_BYTES && tail.ends_with(last))
}

/// Whether the last lines are the same as those before them, so that nobody can see whether some of them are missing.
fn repeats(texts: &[Vec<u8>; 2]) -> bool {
    texts.iter().any(|text| {
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        lines.len() > 1 && (1..=lines.len() / 2).any(|period| lines[period..] == lines[..lines.len() - period])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: &[&str]) -> Vec<u8> {
        of.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
    }

    #[test]
    fn a_stream_on_which_less_came_than_the_log_has_is_not_whole() {
        let long = vec![b'x'; LAST_BYTES];
        assert!(ends_alike(b"a\nb\n", b"a\nb\n") && ends_alike(b"b\n", b"a\nb\n") && ends_alike(b"", b""));
        assert!(!ends_alike(b"a\nfatal\n", b"") && !ends_alike(b"a\nb\n", b"b\n"));
        assert!(ends_alike(&[b"a", &long[..]].concat(), &long));
    }

    #[test]
    fn what_repeats_itself_proves_nothing() {
        for (text, want) in [
            (text(&["a", "b", "c", "d"]), false),
            (text(&["a", "b", "c", "a"]), false),
            (text(&["a", "a"]), true),
            (text(&["a", "b", "a", "b"]), true),
            (text(&["b", "a", "b", "a", "b"]), true),
            (text(&["a"]), false),
            (Vec::new(), false),
        ] {
            assert_eq!(repeats(&[Vec::new(), text.clone()]), want, "{}", String::from_utf8_lossy(&text));
        }
    }
}
