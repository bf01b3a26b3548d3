//! Component logs that several processes write, rotate and read at once. Writers are this test program, started again: see
//! [`a_writer_when_started_as_one`].
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use logboom_files::component::{ComponentError, LogConfig, LogLevel, LogReader, Page, PluginLogger, Rotated};
use logboom_record::Time;
use proptest::prelude::*;

const ROLE: &str = "LOGBOOM_TEST_COMPONENT_WRITER";

/// What a writer process is to do.
#[derive(Clone, Debug)]
struct Role {
    config: LogConfig,
    name: String,
    count: u32,
    /// How long messages are at most; their lengths vary.
    message_bytes: usize,
    zstd: bool,
}

impl Role {
    fn new(dir: &Path, name: &str, count: u32) -> Role {
        let config = LogConfig { max_file_size: 4_000, max_rotated_files: 100_000, log_dir: dir.to_owned() };
        Role { config, name: name.to_owned(), count, message_bytes: 60, zstd: false }
    }

    /// Starts a process that does it. It says on its standard output how many entries are written.
    fn start(&self) -> Writer {
        let config = &self.config;
        let numbers =
            [config.max_file_size, config.max_rotated_files as u64, self.count.into(), self.message_bytes as u64];
        let numbers = numbers.map(|number| number.to_string()).join(" ");
        let role = format!("{} {} {numbers} {}", self.name, u8::from(self.zstd), config.log_dir.display());
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "a_writer_when_started_as_one", "--nocapture"]).env(ROLE, role);
        Writer(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn parse(text: &str) -> Role {
        let parts: Vec<&str> = text.splitn(7, ' ').collect();
        let number = |at: usize| parts[at].parse::<u64>().unwrap();
        let config = LogConfig {
            max_file_size: number(2),
            max_rotated_files: number(3) as usize,
            log_dir: PathBuf::from(parts[6]),
        };
        Role {
            config,
            name: parts[0].to_owned(),
            count: number(4) as u32,
            message_bytes: number(5) as usize,
            zstd: parts[1] == "1",
        }
    }

    fn carry_out(&self) {
        let rotated = if self.zstd { Rotated::Zstd } else { Rotated::Plain };
        let logger = PluginLogger::open_with(&self.config, "p", rotated, Arc::new(Time::now)).unwrap();
        for number in 0..self.count {
            let padding = "x".repeat(number as usize * 7_919 % self.message_bytes);
            let level = LogLevel::ALL[number as usize % 5];
            logger.log(level, format!("{} {number} {padding}", self.name)).unwrap();
            println!("wrote {number}"); // one write(2): standard output flushes lines
        }
    }
}

/// Nothing, unless a test of this file started the process to write.
#[test]
fn a_writer_when_started_as_one() {
    if let Ok(role) = env::var(ROLE) {
        Role::parse(&role).carry_out();
    }
}

/// A writer process; killed when dropped.
struct Writer(Child);

impl Writer {
    /// Waits for its success.
    fn finish(mut self) {
        let mut output = self.0.stdout.take().unwrap();
        output.read_to_end(&mut Vec::new()).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The numbers of each writer's entries, oldest first.
fn numbers(page: &Page) -> BTreeMap<String, Vec<u32>> {
    let mut numbers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in page.entries.iter().rev() {
        let mut words = entry.message.split(' ');
        let name = words.next().unwrap().to_owned();
        numbers.entry(name).or_default().push(words.next().unwrap().parse().unwrap());
    }
    numbers
}

fn all(config: &LogConfig) -> Page {
    LogReader::of(config).read("p", LogLevel::Trace, 0, usize::MAX).unwrap()
}

fn assert_no_file_is_over(config: &LogConfig) -> usize {
    let entries = fs::read_dir(config.log_dir.join("plugins")).unwrap();
    let sizes: Vec<u64> = entries.map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.iter().all(|size| *size <= config.max_file_size), "{sizes:?}");
    sizes.len()
}

#[test]
fn two_processes_and_two_threads_lose_and_tear_no_line() {
    for (message_bytes, max_file_size, zstd) in
        [(60, 4_000, false), (60, 300_000, false), (60, 9_000, true), (9_000, 60_000, false)]
    {
        let dir = tempfile::tempdir().unwrap();
        let limited = |name| {
            let role = Role::new(dir.path(), name, 3_000);
            Role { config: LogConfig { max_file_size, ..role.config.clone() }, message_bytes, zstd, ..role }
        };
        let roles = ["one", "two"].map(limited);
        let writers = roles.each_ref().map(Role::start);
        thread::scope(|scope| {
            for name in ["three", "four"] {
                scope.spawn(move || limited(name).carry_out());
            }
        });
        writers.into_iter().for_each(Writer::finish);

        let page = all(&roles[0].config);
        assert_eq!((page.skipped, page.gone, page.next), (0, false, None));
        let expected: Vec<u32> = (0..3_000).collect();
        let found = numbers(&Page { next: None, ..page });
        assert_eq!(found.len(), 4);
        found.iter().for_each(|(name, numbers)| assert_eq!(numbers, &expected, "{name} of {message_bytes}"));
        assert!(assert_no_file_is_over(&roles[0].config) > 3);
    }
}

#[test]
fn what_a_killed_writer_was_told_to_be_written_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let role = |name: String| {
        let role = Role::new(dir.path(), &name, u32::MAX);
        Role { config: LogConfig { max_file_size: 100_000, ..role.config.clone() }, message_bytes: 20_000, ..role }
    };
    let mut told = BTreeMap::new();
    let beside = Role { count: 2_000, ..role("beside".to_owned()) };
    let living = beside.start();
    for round in 0..40 {
        let role = role(format!("w{round}"));
        let mut writer = role.start();
        let mut lines = BufReader::new(writer.0.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut wrote = lines.by_ref().filter_map(|line| line.strip_prefix("wrote ")?.parse::<u32>().ok());
        let last = wrote.by_ref().take(1 + round * 13 % 50).last();
        writer.0.kill().unwrap();
        told.insert(role.name.clone(), wrote.last().or(last).unwrap());
    }
    living.finish();
    told.insert("beside".to_owned(), 1_999);

    let found = numbers(&all(&role(String::new()).config));
    for (name, last) in told {
        let numbers = &found[&name];
        assert!(numbers.iter().copied().eq(0..numbers.len() as u32), "{name}: {numbers:?}");
        assert!(numbers.len() as u32 > last, "{name}: {} of {last}", numbers.len());
    }
    assert_no_file_is_over(&role(String::new()).config);
}

/// The pages of a walk that begins once there is something to read; what they hold one after the other.
fn walk(reader: &LogReader, level: LogLevel, page_size: usize) -> Vec<u32> {
    let mut page = Page::default();
    while page.entries.is_empty() {
        page = reader.read_from("p", level, None, page_size).unwrap();
    }
    let mut seen = Vec::new();
    loop {
        assert!(page.entries.len() <= page_size && page.skipped == 0, "{} skipped", page.skipped);
        seen.extend(numbers(&page).remove("w").unwrap_or_default().into_iter().rev());
        let Some(next) = &page.next else { return seen };
        page = reader.read_from("p", level, Some(next), page_size).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The model: when the first page shows entry n, the log is entries 0 to n, whatever else comes.
    #[test]
    fn pages_are_those_of_the_log_as_it_was_while_another_process_writes_and_rotates(
        page_size in 1usize..60,
        level in 0usize..5,
        max_file_size in 250u64..6_000,
        zstd in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let role = Role { zstd, ..Role::new(dir.path(), "w", 600) };
        let role = Role { config: LogConfig { max_file_size, ..role.config.clone() }, ..role };
        let writer = role.start();
        let reader = LogReader::of(&role.config);
        for _ in 0..3 {
            let seen = walk(&reader, LogLevel::ALL[level], page_size);
            let model: Vec<u32> = (0..=seen[0]).rev().filter(|number| *number as usize % 5 >= level).collect();
            prop_assert_eq!(seen, model);
        }
        writer.finish();
    }

    /// With little retention a walk ends early, but it has no holes and nothing twice.
    #[test]
    fn pages_have_no_holes_while_files_are_deleted(
        page_size in 1usize..20,
        max_file_size in 250u64..2_000,
        max_rotated_files in 0usize..4,
        zstd in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let role = Role { zstd, ..Role::new(dir.path(), "w", 1_500) };
        let config = LogConfig { max_file_size, max_rotated_files, ..role.config.clone() };
        let writer = Role { config: config.clone(), ..role }.start();
        for _ in 0..10 {
            let seen = walk(&LogReader::of(&config), LogLevel::Trace, page_size);
            prop_assert!(seen.is_sorted_by(|newer, older| *newer == older + 1), "{:?}", seen);
        }
        writer.finish();
        prop_assert!(assert_no_file_is_over(&config) <= max_rotated_files + 2); // the live file and the lock
    }
}

/// A small tmpfs, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(size: &str) -> SmallDisk {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).status();
        assert!(mounted.unwrap().success(), "mounting a tmpfs needs root: run the tests as root or in `unshare -rm`");
        SmallDisk(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || thread::panicking());
    }
}

#[test]
fn a_full_disk_costs_only_the_entries_whose_calls_said_so() {
    for rotated in [Rotated::Plain, Rotated::Zstd] {
        let disk = SmallDisk::new("400k");
        let ballast = disk.0.path().join("ballast");
        fs::write(&ballast, vec![0; 200 << 10]).unwrap();
        let config = LogConfig { max_file_size: 50_000, max_rotated_files: 99, log_dir: disk.0.path().join("logs") };
        let clock = Arc::new(|| Time::from_micros(1_767_323_045_000_000));
        let logger = PluginLogger::open_with(&config, "p", rotated, clock).unwrap();
        let message = |number: u32| {
            let noise =
                (0..60).map(|at| format!("{:x}", number.wrapping_mul(2_654_435_761).rotate_left(at) ^ (at * 77)));
            format!("w {number} {}", noise.collect::<String>())
        };
        let (mut written, mut failed, mut number) = (Vec::new(), 0, 0);
        let mut log = |number| match logger.log(LogLevel::Info, message(number)) {
            Ok(()) => written.push(number),
            Err(ComponentError::DiskFull { .. }) => failed += 1,
            Err(other) => panic!("{other}"),
        };
        while number < 4_000 {
            log(number);
            number += 1;
        }
        fs::remove_file(&ballast).unwrap();
        (4_000..4_050).for_each(&mut log);
        assert!(written.ends_with(&(4_000..4_050).collect::<Vec<u32>>()) && failed > 100, "{failed} failed");
        assert_eq!(logger.dropped(), failed);
        assert_eq!(numbers(&all(&config))["w"], written, "{rotated:?}");
        assert_no_file_is_over(&config);
    }
}

#[test]
fn a_logger_that_cannot_even_be_opened_says_that_the_disk_is_full() {
    let disk = SmallDisk::new("16k");
    let mut ballast = fs::File::create(disk.0.path().join("ballast")).unwrap();
    while ballast.write_all(&[0; 512]).is_ok() {}
    let config = LogConfig::in_dir(disk.0.path().join("logs"));
    let refused = PluginLogger::open(&config, "p").unwrap_err();
    assert!(matches!(refused, ComponentError::DiskFull { .. }), "{refused}");
    ballast.set_len(0).unwrap();
    PluginLogger::open(&config, "p").unwrap().log(LogLevel::Info, "again").unwrap();
}
