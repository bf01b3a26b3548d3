//! The one place that knows how compose v1 and v2 differ, and how builders write.
//!
//! v1 is docker-compose 1.29, as Debian has it; v2 is what docker/compose's sources (v2.2 to v5) and recorded output show.

use std::ffi::OsString;

/// A generation of compose.
#[derive(Debug, PartialEq, Eq)]
pub struct Flavour {
    /// What starts it.
    pub words: &'static [&'static str],
    /// Arguments on which it prints its version and ends; whether one answers tells if it is there.
    pub version: &'static [&'static str],
    /// What stands between project, service and number in the name of a container.
    pub separator: char,
    /// Arguments, behind those that choose the project, on which it prints the project as JSON, `name` among it.
    pub tell_project: Option<&'static [&'static str]>,
    /// How it finds the engine.
    pub engine: FindsEngine,
}

/// How compose finds the engine where its arguments do not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindsEngine {
    /// As docker's client does, which it is a part of.
    AsClient,
    /// As docker's library for Python does: `DOCKER_CONTEXT` is nothing to it, but variables may stand in the `.env` file.
    AsPython,
}

/// The plugin of docker's client.
pub const V2: Flavour = Flavour {
    words: &["docker", "compose"],
    version: &["version", "--short"],
    separator: '-',
    tell_project: Some(&["config", "--format", "json"]),
    engine: FindsEngine::AsClient,
};

/// The program in Python.
pub const V1: Flavour = Flavour {
    words: &["docker-compose"],
    version: &["version", "--short"],
    separator: '_',
    tell_project: None,
    engine: FindsEngine::AsPython,
};

/// v2 as a program of its own, under the name of v1.
pub const V2_ALONE: Flavour = Flavour { words: V1.words, ..V2 };

impl Flavour {
    /// What `docker-compose` is, by the version that it prints: `1.29.2`, `2.29.1`, `v2.2.0`.
    pub fn of_version(printed: &str) -> &'static Flavour {
        if printed.trim().trim_start_matches('v').starts_with("1.") { &V1 } else { &V2_ALONE }
    }

    /// What `docker-compose` is, by the beginning of its file, where that tells: a script in Python is v1. To ask it takes half a
    /// second.
    pub fn of_program(beginning: &[u8]) -> Option<&'static Flavour> {
        let line = beginning.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
        line.windows(6).any(|window| window == b"python").then_some(&V1)
    }

    /// The words that start it with these arguments.
    pub fn command(&self, args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        self.words.iter().map(OsString::from).chain(args).collect()
    }

    /// What an attached `up` writes before the lines of a container of this name. Both leave the project out; v2 does not where
    /// the compose file names the container, and both know the other's separator (`--compatibility`, a project of before).
    pub fn prefix(&self, name: &str, project: &str, service: &str, number: &str) -> String {
        let separators = [self.separator, if self.separator == '-' { '_' } else { '-' }];
        let usual = separators.iter().find(|sep| name == format!("{project}{sep}{service}{sep}{number}"));
        match usual {
            Some(sep) => format!("{service}{sep}{number}"),
            // v1 looks at the beginning alone.
            None if self.separator == '_' && name.starts_with(&format!("{project}_{service}")) => {
                format!("{service}_{number}")
            }
            None => name.to_owned(),
        }
    }
}

/// What compose writes when a container has ended, between its name and its exit code. v1 writes the whole name, v2 the prefix.
pub const EXITED: &str = " exited with code ";

/// The container whose line this is, by the prefix that an attached `up` writes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head<'a> {
    /// The beginning of the line may become one: more bytes tell.
    Open,
    /// No container's.
    None,
    /// `name  | `: v1 colours it as `ESC[36mname  |ESC[0m `, v2 as `ESC[36mname  | ESC[0m`.
    Of(&'a str),
}

/// Reads the beginning of a line of compose's. Sequences that move the cursor or set colours may stand anywhere in it.
pub fn head(line: &[u8]) -> Head<'_> {
    let Some(start) = skip_escapes(line, 0) else { return Head::Open };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let end = start + line[start..].iter().take_while(|byte| is_name(byte)).count();
    let bar = end + line[end..].iter().take_while(|byte| **byte == b' ').count();
    match (line.get(bar), line.get(bar + 1)) {
        (None, _) => Head::Open,
        (Some(b'|'), None) if end > start && bar > end => Head::Open,
        (Some(b'|'), Some(b' ' | 0x1b)) if end > start && bar > end => {
            std::str::from_utf8(&line[start..end]).map_or(Head::None, Head::Of)
        }
        _ => Head::None,
    }
}

/// The first place from `at` on that is no escape sequence and no carriage return; none if the line ends within one.
fn skip_escapes(line: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match line.get(at)? {
            b'\r' => at += 1,
            0x1b if line.get(at + 1)? == &b'[' => {
                let len = line[at + 2..].iter().position(|byte| (0x40..=0x7e).contains(byte))?;
                at += len + 3;
            }
            _ => return Some(at),
        }
    }
}

/// What compose says before it prints the lines of containers, and after all builds.
const ATTACHING: &str = "Attaching to ";

/// A line of compose's own that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A builder begins a step.
    Step(&'a str),
    /// The lines of containers follow.
    Attaching,
}

/// What a line of compose's own means.
pub fn said(line: &[u8]) -> Option<Said<'_>> {
    let start = skip_escapes(line, 0)?;
    match line[start..].starts_with(ATTACHING.as_bytes()) {
        true => Some(Said::Attaching),
        false => build_step(line).map(Said::Step),
    }
}

/// Whether a line may be one of [`said`], by its first bytes.
pub fn may_be_said(beginning: &[u8]) -> bool {
    skip_escapes(beginning, 0).is_none_or(|at| matches!(beginning.get(at), None | Some(b'A' | b'S' | b'#')))
}

/// The step that a builder begins by this line: `Step 3/7 : RUN make` (classic, which v1 uses), `#5 [2/3] RUN make`, `#5 [web 2/3]
/// RUN make` (BuildKit). BuildKit repeats it whenever it comes back to the step.
fn build_step(line: &[u8]) -> Option<&str> {
    let start = skip_escapes(line, 0)?;
    let line = std::str::from_utf8(&line[start..]).ok()?.trim_end();
    let is_step = is_classic_step(line) || is_buildkit_step(line);
    is_step.then_some(line)
}

fn is_classic_step(line: &str) -> bool {
    let numbers = line.strip_prefix("Step ").and_then(|rest| rest.split_once(" : "));
    numbers.is_some_and(|(numbers, _)| is_fraction(numbers))
}

fn is_buildkit_step(line: &str) -> bool {
    let Some((number, rest)) = line.strip_prefix('#').and_then(|rest| rest.split_once(' ')) else { return false };
    let within = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let numbers = within.and_then(|(within, _)| within.split_whitespace().next_back());
    is_number(number) && numbers.is_some_and(is_fraction)
}

fn is_fraction(text: &str) -> bool {
    text.split_once('/').is_some_and(|(step, of)| is_number(step) && is_number(of))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_tells_what_docker_compose_is() {
        assert_eq!(Flavour::of_version("1.29.2\n"), &V1);
        for version in ["2.29.1\n", "v2.2.3", "5.0.1"] {
            assert_eq!(Flavour::of_version(version), &V2_ALONE);
        }
        assert_eq!((V2_ALONE.words, V2_ALONE.separator), (&["docker-compose"][..], '-'));
    }

    #[test]
    fn a_script_in_python_is_v1() {
        assert_eq!(Flavour::of_program(b"#!/usr/bin/python3\nimport sys"), Some(&V1));
        for beginning in [&b"#!/bin/sh\nexec python"[..], b"\x7fELF python", b"#!"] {
            assert_eq!(Flavour::of_program(beginning), None);
        }
    }

    #[test]
    fn prefixes_are_names_without_the_project() {
        let v1 = |name| V1.prefix(name, "shop", "web", "2");
        let v2 = |name| V2.prefix(name, "shop", "web", "2");
        assert_eq!((v1("shop_web_2"), v2("shop-web-2")), ("web_2".into(), "web-2".into()));
        // The file has `container_name`.
        assert_eq!((v1("front"), v2("front")), ("front".into(), "front".into()));
        assert_eq!((v1("shop_web_front"), v2("shop-web-front")), ("web_2".into(), "shop-web-front".into()));
        // `docker compose --compatibility`.
        assert_eq!(v2("shop_web_2"), "web_2");
    }

    #[test]
    fn recorded_lines_of_containers_are_told_from_composes_own() {
        let of = [
            // docker-compose 1.29.2
            ("\x1b[36mdb_1   |\x1b[0m db 1", "db_1"),
            ("\x1b[0m\x1b[32mweb_1  |\x1b[0m tail\x1b[32mshop_web_1 exited with code 0", "web_1"),
            ("\x1b[36;1mweb_1  |\x1b[0m ", "web_1"),
            ("web_1  | hello", "web_1"),
            // v2
            ("\x1b[36mweb-1  | \x1b[0mhello", "web-1"),
            ("web-1  | hello", "web-1"),
            ("\x1b[K\x1b[33mmy.front  | \x1b[0m| a | b", "my.front"),
        ];
        for (line, name) in of {
            assert_eq!(head(line.as_bytes()), Head::Of(name), "{line:?}");
        }
        let own = [
            "Attaching to shop_web_1, shop_db_1",
            "\x1b[33mshop_db_2 exited with code 0",
            "\r\x1b[Kweb-1 exited with code 0",
            "Creating shop_web_1 ... \r",
            "\x1b[1A\x1b[2K\rRecreating shop_web_1 ... \x1b[32mdone\x1b[0m\r\x1b[1B",
            "Step 1/3 : FROM busybox",
            "#5 [web 2/3] RUN a | b",
            "web_1|x",
            "web_1  |x",
            " | x",
            "{\"a\": \"b | c\"}",
        ];
        for line in own {
            assert_eq!(head(line.as_bytes()), Head::None, "{line:?}");
        }
    }

    #[test]
    fn a_head_is_open_until_it_is_whole() {
        for line in ["\x1b[36mdb_1   |\x1b[0m x", "web-1  | x", "\x1b[36mweb-1  | \x1b[0mx"] {
            let bar = line.find('|').unwrap();
            for cut in 0..=bar + 1 {
                assert_eq!(head(&line.as_bytes()[..cut]), Head::Open, "{line:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn both_say_when_the_lines_of_containers_follow() {
        for line in ["Attaching to shop_web_1, shop_db_1\n", "\x1b[0mAttaching to web-1, db-1\r\n"] {
            assert_eq!((said(line.as_bytes()), may_be_said(&line.as_bytes()[..1])), (Some(Said::Attaching), true));
        }
        assert_eq!(
            (said(b"Attached"), said(b"Step 1/2 : X"), may_be_said(b"Cr")),
            (None, Some(Said::Step("Step 1/2 : X")), false)
        );
    }

    #[test]
    fn the_steps_of_both_builders_are_known() {
        let steps = [
            "Step 3/7 : RUN [\"/bin/busybox\",\"true\"]",
            "#5 [2/3] RUN make",
            "#12 [web 2/3] RUN make",
            "#9 [web build 10/12] COPY . .",
        ];
        for step in steps {
            assert_eq!(build_step(step.as_bytes()), Some(step));
            assert_eq!(build_step(format!("\x1b[0m{step}\r").as_bytes()), Some(step));
            assert!(may_be_said(&step.as_bytes()[..1]));
        }
        let others = [
            "#5 0.123 building",
            "#5 DONE 0.1s",
            "#1 [internal] load build definition from Dockerfile",
            "#2 [web internal] load metadata for docker.io/library/busybox",
            "Step 3 : x",
            "Steps 3/7 : x",
            " ---> 3a953c144684",
            "Successfully built 4406eecd24e5",
        ];
        for line in others {
            assert_eq!(build_step(line.as_bytes()), None, "{line}");
        }
    }
}
