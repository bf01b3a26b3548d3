//! Records as text, as JSON lines, or as the exact bytes that were printed.
//!
//! Text has the columns of the text log, and a line that was kept in parts is one line again. The small stream letter of
//! the text log stays where no newline followed. With several runs their names stand before the messages.

use std::collections::BTreeMap;

use logboom_record::{Flags, Gap, Level, RecordRef, RunId, Stream, Time, text};
use logboom_store::TextQuery;

use crate::{
    highlight,
    join::{Joiner, Piece},
    output::Look,
    visible::{self, Sgr},
};

/// In what shape records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Lines for people.
    Text(Look),
    /// One JSON object a record.
    Json,
    /// The bytes that the command printed.
    Raw,
}

/// Turns records and gaps into bytes to print.
pub struct Renderer {
    shape: Shape,
    names: BTreeMap<RunId, String>,
    out: Vec<u8>,
    joiner: Joiner,
    hidden: Vec<Gap>,
    found: Option<TextQuery>,
    tagged: bool,
}

impl Renderer {
    /// `names` are shown in front of the messages; empty where there is but one run.
    pub fn new(shape: Shape, names: BTreeMap<RunId, String>) -> Renderer {
        Renderer {
            shape,
            names,
            out: Vec::new(),
            joiner: Joiner::default(),
            hidden: Vec::new(),
            found: None,
            tagged: false,
        }
    }

    /// What is to be printed so far; the caller empties it.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// From here on these names stand in front of the messages.
    pub fn name(&mut self, names: BTreeMap<RunId, String>) {
        self.names = names;
    }

    /// From here on this text is shown in a colour of its own, where there are colours.
    pub fn highlight(&mut self, text: TextQuery) {
        self.found = Some(text);
    }

    /// From here on a line is its run's name and its message, as compose shows it: `web  | listening`.
    pub fn tag(&mut self) {
        self.tagged = true;
    }

    /// A line between groups of records, where the shape has a place for it.
    pub fn separator(&mut self, text: &str) {
        if let Shape::Text(look) = self.shape {
            self.out.extend_from_slice(look.paint("2", text).as_bytes());
            self.out.push(b'\n');
        }
    }

    /// The gaps that raw output has no place for.
    pub fn hidden_gaps(&self) -> &[Gap] {
        &self.hidden
    }

    /// Takes a record; of a line in parts nothing comes out before its last, unless it is very long.
    pub fn record(&mut self, record: &RecordRef<'_>) {
        match self.shape {
            Shape::Json => logboom_record::json::push_record(&mut self.out, record),
            Shape::Raw => {
                self.out.extend_from_slice(record.message);
                if record.flags.ends_line_with_newline() {
                    self.out.push(b'\n');
                }
            }
            Shape::Text(look) => {
                let found = self.found.as_ref();
                let (how, out) = (How { names: &self.names, look, found, tagged: self.tagged }, &mut self.out);
                self.joiner.push(record, |piece| push_piece(out, &how, piece));
            }
        }
    }

    /// Takes a gap.
    pub fn gap(&mut self, gap: &Gap) {
        match self.shape {
            Shape::Json => logboom_record::json::push_gap(&mut self.out, gap),
            Shape::Raw => self.hidden.push(gap.clone()),
            Shape::Text(look) => {
                let found = self.found.as_ref();
                let (how, out) = (How { names: &self.names, look, found, tagged: self.tagged }, &mut self.out);
                self.joiner.gap(gap.run, |piece| push_piece(out, &how, piece));
                push_gap(out, &how, gap);
            }
        }
    }

    /// Lets lines go whose rest has not come.
    pub fn flush(&mut self) {
        if let Shape::Text(look) = self.shape {
            let found = self.found.as_ref();
            let (how, out) = (How { names: &self.names, look, found, tagged: self.tagged }, &mut self.out);
            self.joiner.flush(|piece| push_piece(out, &how, piece));
        }
    }
}

/// How lines look.
struct How<'a> {
    names: &'a BTreeMap<RunId, String>,
    look: Look,
    found: Option<&'a TextQuery>,
    tagged: bool,
}

/// The colours of the names, one after the other.
const TAG_SGR: [&str; 10] = ["36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"];

fn push_tag(out: &mut Vec<u8>, how: &How<'_>, run: RunId) {
    let width = how.names.values().map(|name| name.chars().count()).max().unwrap_or(0);
    let at = how.names.keys().position(|known| *known == run).unwrap_or(0);
    let name = how.names.get(&run).map_or("", String::as_str);
    push_painted(out, format!("{name:width$} |").as_bytes(), TAG_SGR[at % TAG_SGR.len()], how.look);
}

fn push_gap(out: &mut Vec<u8>, how: &How<'_>, gap: &Gap) {
    let message = gap_message(gap);
    let line = RecordRef {
        run: gap.run,
        seq: gap.from,
        time: gap.time,
        origin_time_ns: None,
        stream: Stream::System,
        level: Level::Warn,
        flags: Flags::NONE,
        message: message.as_bytes(),
        fields: None,
    };
    push_head(out, how, &line, text::GAP_LETTER);
    push_message(out, how, &line);
    out.push(b'\n');
}

/// What a gap says, as the text log has it.
pub fn gap_message(gap: &Gap) -> String {
    let to = gap.to.map(|to| to.to_string()).unwrap_or_default();
    format!("lost seq {}-{to}: {}", gap.from, gap.why.replace('\n', " "))
}

fn push_piece(out: &mut Vec<u8>, how: &How<'_>, piece: Piece<'_>) {
    match piece {
        Piece::Line(line) => push_line(out, how, &line),
        Piece::First(line) => {
            push_head(out, how, &line, line.stream.letter());
            push_message(out, how, &line);
        }
        Piece::More(part) => push_message(out, how, &part),
        Piece::Last => out.push(b'\n'),
    }
}

fn push_line(out: &mut Vec<u8>, how: &How<'_>, line: &RecordRef<'_>) {
    if !how.look.for_terminal && how.names.is_empty() && !how.tagged {
        return text::Prefix::new(line.time).push(out, line.stream, line.level, line.flags, line.message);
    }
    let case = if line.flags.ends_line_with_newline() { 0 } else { 0x20 };
    push_head(out, how, line, line.stream.letter() | case);
    push_message(out, how, line);
    out.push(b'\n');
}

/// What stands before the message.
fn push_head(out: &mut Vec<u8>, how: &How<'_>, line: &RecordRef<'_>, letter: u8) {
    if how.tagged {
        return push_tag(out, how, line.run);
    }
    push_columns(out, line, letter, how.look);
    if let Some(name) = how.names.get(&line.run) {
        push_painted(out, format!("[{name}]").as_bytes(), "36", how.look);
    }
}

fn push_message(out: &mut Vec<u8>, how: &How<'_>, line: &RecordRef<'_>) {
    for (at, part) in line.message.split(|byte| *byte == b'\n').enumerate() {
        if at > 0 {
            out.push(b'\n');
            push_head(out, how, line, b'+');
        }
        match (how.look, how.found) {
            (Look { for_terminal: false, .. }, _) => out.extend_from_slice(part),
            (Look { color: false, .. }, _) => visible::push(out, part, Sgr::Drop),
            (_, None) => visible::push(out, part, Sgr::Keep),
            (_, Some(found)) => highlight::push(out, part, found),
        }
    }
}

fn push_columns(out: &mut Vec<u8>, line: &RecordRef<'_>, letter: u8, look: Look) {
    let mut stamp = [0; Time::RFC3339_BYTES];
    line.time.write_rfc3339(&mut stamp);
    push_painted(out, &stamp, "2", look);
    push_painted(out, &[letter], stream_sgr(line.stream), look);
    push_painted(out, &[line.level.letter()], level_sgr(line.level), look);
}

/// `text` and a space after it.
fn push_painted(out: &mut Vec<u8>, text: &[u8], sgr: &str, look: Look) {
    if look.color && !sgr.is_empty() {
        out.extend_from_slice(b"\x1b[");
        out.extend_from_slice(sgr.as_bytes());
        out.push(b'm');
        out.extend_from_slice(text);
        out.extend_from_slice(b"\x1b[0m ");
    } else {
        out.extend_from_slice(text);
        out.push(b' ');
    }
}

fn stream_sgr(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "",
        Stream::Stderr => "35",
        Stream::System => "36",
    }
}

fn level_sgr(level: Level) -> &'static str {
    match level {
        Level::Trace | Level::Debug => "2",
        Level::Info => "",
        Level::Warn => "33",
        Level::Error => "1;31",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Shape = Shape::Text(Look { for_terminal: false, color: false });

    fn run() -> RunId {
        RunId::from_bytes([1; 16])
    }

    fn record(stream: Stream, flags: Flags, message: &str) -> RecordRef<'_> {
        let (message, level, time) = (message.as_bytes(), Level::Info, Time::from_micros(0));
        RecordRef { run: run(), seq: 1, time, origin_time_ns: None, stream, level, flags, message, fields: None }
    }

    fn gap(to: Option<u64>) -> Gap {
        Gap { run: run(), from: 2, to, time: Time::from_micros(0), why: "disk\nfull".into() }
    }

    fn shown(renderer: &mut Renderer, records: &[RecordRef<'_>]) -> String {
        records.iter().for_each(|record| renderer.record(record));
        renderer.flush();
        String::from_utf8_lossy(renderer.out()).replace("1970-01-01T00:00:00.000000Z", "@")
    }

    #[test]
    fn parts_of_a_line_are_one_line_of_text() {
        let records = [
            record(Stream::Stdout, Flags::CONTINUED, "wait"),
            record(Stream::Stderr, Flags::NONE, "warning"),
            record(Stream::Stdout, Flags::NONE, "ing.. done"),
            record(Stream::Stdout, Flags::CONTINUED, "> "),
        ];
        let text = shown(&mut Renderer::new(PLAIN, BTreeMap::new()), &records);
        assert_eq!(text, "@ O I waiting.. done\n@ E I warning\n@ o I > \n");
    }

    #[test]
    fn raw_is_what_was_printed() {
        let records = [
            record(Stream::Stdout, Flags::CONTINUED, "a"),
            record(Stream::Stdout, Flags::NONE, "b"),
            record(Stream::Stdout, Flags::NO_NEWLINE, "c"),
        ];
        assert_eq!(shown(&mut Renderer::new(Shape::Raw, BTreeMap::new()), &records), "ab\nc");
    }

    #[test]
    fn raw_remembers_the_gaps_it_could_not_show() {
        let mut renderer = Renderer::new(Shape::Raw, BTreeMap::new());
        renderer.gap(&gap(Some(3)));
        assert_eq!(renderer.hidden_gaps(), [gap(Some(3))]);
        assert!(renderer.out().is_empty());
    }

    #[test]
    fn names_stand_before_the_messages_of_several_runs() {
        let mut renderer = Renderer::new(PLAIN, BTreeMap::from([(run(), "web".to_owned())]));
        let text = shown(&mut renderer, &[record(Stream::Stdout, Flags::NONE, "a\nb")]);
        assert_eq!(text, "@ O I [web] a\n@ + I [web] b\n");
    }

    #[test]
    fn a_terminal_gets_colours_and_no_commands() {
        let look = Look { for_terminal: true, color: true };
        let records = [record(Stream::Stderr, Flags::NONE, "\x1b[1mx\x1b[2J")];
        let text = shown(&mut Renderer::new(Shape::Text(look), BTreeMap::new()), &records);
        assert_eq!(text, "\x1b[2m@\x1b[0m \x1b[35mE\x1b[0m I \x1b[1mx^[[2J\x1b[0m\n");
    }

    #[test]
    fn a_gap_of_one_run_does_not_stand_within_a_long_line_of_another() {
        let other = RunId::from_bytes([2; 16]);
        let mut renderer = Renderer::new(PLAIN, BTreeMap::from([(run(), "a".to_owned()), (other, "b".to_owned())]));
        let part = "x".repeat(5 << 20);
        renderer.record(&record(Stream::Stdout, Flags::CONTINUED, &part));
        renderer.gap(&Gap { run: other, ..gap(Some(3)) });
        let text = shown(&mut renderer, &[record(Stream::Stdout, Flags::NONE, "end")]).replace(&part, "…");
        assert_eq!(text, "@ O I [a] …\n@ - W [b] lost seq 2-3: disk full\n@ O I [a] end\n");
    }

    #[test]
    fn a_gap_is_a_line_that_no_record_has() {
        let mut renderer = Renderer::new(PLAIN, BTreeMap::new());
        renderer.gap(&gap(None));
        let mut says = record(Stream::System, Flags::NONE, "lost seq 2-: disk full");
        says.level = Level::Warn;
        let text = shown(&mut renderer, &[says]);
        assert_eq!(text, "@ - W lost seq 2-: disk full\n@ S W lost seq 2-: disk full\n");
        let mut renderer = Renderer::new(Shape::Text(Look { for_terminal: true, color: true }), BTreeMap::new());
        renderer.gap(&gap(None));
        let text = "\x1b[2m@\x1b[0m \x1b[36m-\x1b[0m \x1b[33mW\x1b[0m lost seq 2-: disk full\n";
        assert_eq!(shown(&mut renderer, &[]), text);
    }
}
