//! What compose's arguments say, as far as it matters to who captures it.
//!
//! `[GLOBAL OPTION]... COMMAND [OPTION]... [SERVICE]...`. Nothing is checked: compose does that.

use std::ffi::OsString;

/// Options before the command that take a value, of v1 and v2.
const WITH_VALUE: [&str; 18] = [
    "-f",
    "--file",
    "-p",
    "--project-name",
    "--profile",
    "-c",
    "--context",
    "--log-level",
    "--ansi",
    "-H",
    "--host",
    "--tlscacert",
    "--tlscert",
    "--tlskey",
    "--project-directory",
    "--env-file",
    "--progress",
    "--parallel",
];
/// Options of `run` that take a value.
const RUN_WITH_VALUE: [&str; 19] = [
    "-e",
    "--env",
    "-l",
    "--label",
    "--name",
    "--entrypoint",
    "-u",
    "--user",
    "-p",
    "--publish",
    "-v",
    "--volume",
    "-w",
    "--workdir",
    "--cap-add",
    "--cap-drop",
    "--pull",
    "--env-from-file",
    "--progress",
];
/// What starts, stops or changes containers. Other commands print nothing of a service, or what it printed before (`logs`).
const WITH_SERVICES: [&str; 13] =
    ["up", "run", "start", "restart", "stop", "down", "kill", "rm", "scale", "pause", "unpause", "watch", "create"];

/// Compose's arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Options before the command.
    globals: Vec<String>,
    /// The command, empty if there is none.
    command: String,
    /// What follows it.
    rest: Vec<String>,
}

impl Arguments {
    /// Of the words behind `docker compose`.
    pub fn of(words: &[OsString]) -> Arguments {
        let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let at = first_word(&words, &WITH_VALUE).unwrap_or(words.len());
        let mut globals = words;
        let mut rest = globals.split_off(at).into_iter();
        Arguments { globals, command: rest.next().unwrap_or_default(), rest: rest.collect() }
    }

    /// The words before the command.
    pub fn globals(&self) -> &[String] {
        &self.globals
    }

    /// The values of a global option that has these names, such as `--file` and `-f`.
    pub fn values(&self, names: &[&str]) -> Vec<&str> {
        let mut values = Vec::new();
        let mut words = self.globals.iter();
        while let Some(word) = words.next() {
            let takes_next = WITH_VALUE.contains(&word.as_str());
            let next = if takes_next { words.next() } else { None };
            values.extend(next.filter(|_| names.contains(&word.as_str())).map(String::as_str));
            values.extend(names.iter().filter(|_| !takes_next).find_map(|name| joined(word, name)));
        }
        values
    }

    /// Whether services print while it runs, or at its hands.
    pub fn concerns_services(&self) -> bool {
        WITH_SERVICES.contains(&self.command.as_str()) && !self.rest.iter().any(|word| word == "--help" || word == "-h")
    }

    /// Whether it prints the lines of services with a prefix.
    pub fn prefixes_lines(&self) -> bool {
        let is_bare = self.rest.iter().any(|word| word == "--no-log-prefix");
        self.command == "up" && !self.is_detached() && !is_bare
    }

    /// Whether it prints the lines of a one-off container, as they are.
    pub fn is_attached_run(&self) -> bool {
        self.command == "run" && !self.is_detached()
    }

    /// Whether it leaves running what it started.
    pub fn is_detached(&self) -> bool {
        // `run`'s service and what follows are the container's.
        let end = if self.command == "run" { first_word(&self.rest, &RUN_WITH_VALUE) } else { None };
        let options = &self.rest[..end.unwrap_or(self.rest.len())];
        options.iter().any(|word| {
            let is_short = word.len() > 1 && word.starts_with('-') && !word.starts_with("--");
            ["--detach", "--detach=true", "--wait", "--no-start"].contains(&word.as_str())
                || (is_short && word[1..].bytes().all(|letter| b"dVywTi".contains(&letter)) && word.contains('d'))
        })
    }
}

/// The value of an option in one word with it: `--file=x`, `-fx`.
fn joined<'a>(word: &'a str, name: &str) -> Option<&'a str> {
    let rest = word.strip_prefix(name)?;
    if name.starts_with("--") { rest.strip_prefix('=') } else { Some(rest.trim_start_matches('=')) }
}

/// Where the first word is that is no option, and no value of one.
fn first_word(words: &[String], with_value: &[&str]) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        match word.as_str() {
            "--" => return (at + 1 < words.len()).then_some(at + 1),
            option if with_value.contains(&option) => at += 2,
            option if option.starts_with('-') && option.len() > 1 => at += 1,
            _ => return Some(at),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments {
        Arguments::of(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_stands_behind_the_global_options() {
        let read = arguments("-f a.yml --file=b.yml -fc.yml --ansi never -p shop --verbose up --build -p x");
        assert_eq!(read.values(&["--file", "-f"]), ["a.yml", "b.yml", "c.yml"]);
        assert_eq!((read.values(&["--project-name", "-p"]), read.command.as_str()), (vec!["shop"], "up"));
        assert_eq!(read.globals().len(), 9);
        assert_eq!(arguments("--version").command, "");
        assert_eq!(arguments("-- up").command, "up");
    }

    #[test]
    fn what_is_detached_is_known() {
        for line in ["up -d", "up --detach web", "up web -d", "up --wait", "run -d web", "run -e A=b -d web", "up -dV"]
        {
            assert!(arguments(line).is_detached(), "{line}");
        }
        for line in ["up", "up -t 3", "run web -d", "run --rm web sh -d", "run -e d web -d"] {
            assert!(!arguments(line).is_detached(), "{line}");
        }
    }

    #[test]
    fn only_some_commands_concern_services() {
        for line in ["up", "-f x down", "run web"] {
            assert!(arguments(line).concerns_services(), "{line}");
        }
        for line in ["build", "logs -f", "config", "up --help", "--version", ""] {
            assert!(!arguments(line).concerns_services(), "{line}");
        }
        assert!(arguments("up").prefixes_lines());
        assert!(!arguments("up -d").prefixes_lines() && !arguments("up --no-log-prefix").prefixes_lines());
        assert!(arguments("run web").is_attached_run() && !arguments("up").is_attached_run());
    }
}
