//! Takes the lines of containers out of what an attached `up` prints: those that are kept as the services' own.
//!
//! Bytes go in as they were read, and come out as they were read, less the lines of containers. What may become the prefix of a
//! container is held back until it is told, and never longer than the head of a line is.

use logboom_record::Time;

use super::table::{EXITED, Head, Said, head, may_be_said, said};

/// No name of a container, with its colours, is as long.
const HEAD_BYTES_MAX: usize = 512;
/// How much of a line is kept that may mean something.
const SAID_BYTES_MAX: usize = 4 << 10;
/// The end of a container's line behind which compose may have written a word of its own.
const TAIL_BYTES_MAX: usize = 512;

/// What there is to be known of compose's lines.
pub trait Lines {
    /// The whole name of the container of this prefix, if its lines are kept elsewhere.
    fn container_of(&mut self, prefix: &str) -> Option<String>;
    /// Takes bytes that are compose's own, read at this time.
    fn keep(&mut self, time: Time, bytes: &[u8]);
    /// Compose said something that means something. It is kept, too.
    fn said(&mut self, time: Time, what: Said<'_>);
}

/// One stream of compose's.
#[derive(Debug, Default)]
pub struct Attached {
    line: Line,
    /// When the first byte of what is held back was read.
    held_since: Time,
}

#[derive(Debug)]
enum Line {
    /// Its beginning, which does not tell yet.
    Head(Vec<u8>),
    /// Compose's own, with as much of it as may mean something.
    Own(Option<Vec<u8>>),
    /// A container's, of this whole name; its end.
    Left(String, Vec<u8>),
}

impl Default for Line {
    fn default() -> Line {
        Line::Head(Vec::new())
    }
}

impl Attached {
    /// Takes the bytes of one read(2), which returned at `time`.
    pub fn push(&mut self, bytes: &[u8], time: Time, lines: &mut impl Lines) {
        // What follows each other goes on together.
        let mut own = Vec::with_capacity(bytes.len());
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.take(part, time, &mut own, lines);
        }
        keep(&own, time, lines);
    }

    /// Hands out what was held back: the stream has ended.
    pub fn finish(&mut self, lines: &mut impl Lines) {
        match std::mem::take(&mut self.line) {
            Line::Head(held) => keep(&held, self.held_since, lines),
            Line::Left(name, tail) => {
                own_end(&name, &tail).into_iter().for_each(|end| lines.keep(self.held_since, end))
            }
            Line::Own(_) => {}
        }
    }

    /// Takes a line, or a part of one, with the newline if it ends there.
    fn take(&mut self, part: &[u8], time: Time, own: &mut Vec<u8>, lines: &mut impl Lines) {
        if let Line::Head(held) = &mut self.line {
            let was_held = !held.is_empty();
            if !was_held {
                self.held_since = time;
            }
            held.extend_from_slice(part);
            let begun = std::mem::take(held);
            let is_whole = begun.ends_with(b"\n") || begun.len() > HEAD_BYTES_MAX;
            self.line = match head(&begun) {
                Head::Open if !is_whole => Line::Head(begun),
                Head::Of(prefix) => match lines.container_of(prefix) {
                    Some(name) => Line::Left(name, begun),
                    None => self.own(begun, was_held, own, lines),
                },
                _ => self.own(begun, was_held, own, lines),
            };
        } else {
            self.go_on(part, own);
        }
        if part.ends_with(b"\n") {
            self.end_line(time, own, lines);
        }
    }

    /// What was held back has the time at which it was read.
    fn own(&self, begun: Vec<u8>, was_held: bool, own: &mut Vec<u8>, lines: &mut impl Lines) -> Line {
        if was_held {
            // It began the first line of this read.
            keep(&begun, self.held_since, lines);
        } else {
            own.extend_from_slice(&begun);
        }
        Line::Own(may_be_said(&begun).then_some(begun))
    }

    fn go_on(&mut self, part: &[u8], own: &mut Vec<u8>) {
        match &mut self.line {
            Line::Own(said) => {
                own.extend_from_slice(part);
                if let Some(line) = said.as_mut().filter(|line| line.len() < SAID_BYTES_MAX) {
                    line.extend_from_slice(part);
                }
            }
            Line::Left(_, tail) => {
                tail.extend_from_slice(part);
                let over = tail.len().saturating_sub(TAIL_BYTES_MAX);
                tail.drain(..over);
            }
            Line::Head(_) => {}
        }
    }

    fn end_line(&mut self, time: Time, own: &mut Vec<u8>, lines: &mut impl Lines) {
        match std::mem::take(&mut self.line) {
            Line::Own(Some(line)) => said(&line).into_iter().for_each(|what| lines.said(time, what)),
            Line::Left(name, tail) => own.extend_from_slice(own_end(&name, &tail).unwrap_or_default()),
            Line::Own(None) | Line::Head(_) => {}
        }
    }
}

fn keep(bytes: &[u8], time: Time, lines: &mut impl Lines) {
    if !bytes.is_empty() {
        lines.keep(time, bytes);
    }
}

/// What compose wrote of its own at the end of a container's line: that a container ended, where its last line had no newline.
fn own_end<'a>(name: &str, line: &'a [u8]) -> Option<&'a [u8]> {
    let at = line.windows(EXITED.len()).rposition(|window| window == EXITED.as_bytes())?;
    let code = line[at + EXITED.len()..].trim_ascii_end();
    if code.is_empty() || !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let before = &line[..at];
    let of_this = before.ends_with(name.as_bytes()).then(|| at - name.len());
    of_this.or_else(|| coloured_name(before)).map(|start| &line[start..])
}

/// Where a name begins that stands directly behind a colour: the one of another container.
fn coloured_name(before: &[u8]) -> Option<usize> {
    let escape = before.iter().rposition(|byte| *byte == 0x1b)?;
    let colour = before[escape..].iter().position(|byte| *byte == b'm')?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let name = &before[escape + colour + 1..];
    (!name.is_empty() && name.iter().all(is_name)).then_some(escape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Follows `web_1` and `db_1`.
    #[derive(Default)]
    struct Kept {
        own: Vec<(i64, String)>,
        said: Vec<String>,
    }

    impl Lines for Kept {
        fn container_of(&mut self, prefix: &str) -> Option<String> {
            ["web_1", "db_1"].contains(&prefix).then(|| format!("shop_{prefix}"))
        }
        fn keep(&mut self, time: Time, bytes: &[u8]) {
            self.own.push((time.as_micros(), String::from_utf8_lossy(bytes).into_owned()));
        }
        fn said(&mut self, _time: Time, what: Said<'_>) {
            self.said.push(format!("{what:?}"));
        }
    }

    impl Kept {
        fn text(&self) -> String {
            self.own.iter().map(|(_, text)| text.as_str()).collect()
        }
    }

    fn pass(chunks: &[&[u8]]) -> Kept {
        let (mut attached, mut kept) = (Attached::default(), Kept::default());
        for (at, chunk) in chunks.iter().enumerate() {
            attached.push(chunk, Time::from_micros(at as i64), &mut kept);
        }
        attached.finish(&mut kept);
        kept
    }

    /// As docker-compose 1.29.2 printed it.
    const UP: &str = "Step 1/2 : FROM busybox\n ---> 3a953c144684\nAttaching to shop_web_1, shop_db_1\n\
        \x1b[36mdb_1   |\x1b[0m db 1\n\x1b[33mother_1  |\x1b[0m not followed\n\x1b[32mweb_1  |\x1b[0m \n\
        \x1b[33mshop_db_1 exited with code 0\n\x1b[0m\x1b[32mweb_1  |\x1b[0m tail\x1b[32mshop_web_1 exited with code 3\n\x1b[0m";
    const OWN: &str = "Step 1/2 : FROM busybox\n ---> 3a953c144684\nAttaching to shop_web_1, shop_db_1\n\
        \x1b[33mother_1  |\x1b[0m not followed\n\x1b[33mshop_db_1 exited with code 0\nshop_web_1 exited with code 3\n\x1b[0m";

    const SAID: &str = "Step(\"Step 1/2 : FROM busybox\"), Attaching";

    #[test]
    fn lines_of_followed_containers_are_left_out() {
        let kept = pass(&[UP.as_bytes()]);
        assert_eq!((kept.text().as_str(), kept.said.join(", ").as_str()), (OWN, SAID));
    }

    #[test]
    fn another_containers_end_behind_an_open_line_is_composes_own() {
        let line = "\x1b[32mweb_1  |\x1b[0m tail\x1b[33mshop_db_1 exited with code 0\n";
        assert_eq!(pass(&[line.as_bytes()]).text(), "\x1b[33mshop_db_1 exited with code 0\n");
        assert_eq!(pass(&[b"web_1  | x exited with code y\n"]).text(), "");
    }

    #[test]
    fn what_is_held_back_keeps_its_time_and_comes_at_the_end() {
        let kept = pass(&[b"web", b"site\n", b"db_1"]);
        assert_eq!(kept.own, [(0, "website\n".to_owned()), (2, "db_1".to_owned())]);
        let kept = pass(&[b"password: "]);
        assert_eq!(kept.own, [(0, "password: ".to_owned())]);
    }

    proptest! {
        #[test]
        fn the_cuts_between_reads_do_not_matter(cuts in prop::collection::vec(0..UP.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.extend([0, UP.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &UP.as_bytes()[pair[0]..pair[1]]).collect();
            let kept = pass(&chunks);
            prop_assert_eq!(kept.text(), OWN);
            prop_assert_eq!(kept.said.join(", "), SAID);
        }
    }
}
