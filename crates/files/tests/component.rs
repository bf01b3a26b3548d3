//! Component logs, as one process writes and reads them.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use logboom_files::component::{
    Clock, ComponentError, LINE_BYTES_MAX, LogConfig, LogEntry, LogLevel, LogReader, Page, PluginLogger, Rotated,
    SupervisorLogger,
};
use logboom_record::Time;
use serde_json::{Value, json};

/// A clock that a test moves.
#[derive(Clone)]
struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    fn new() -> ManualClock {
        let start: Time = "2026-01-02T03:04:05Z".parse().unwrap();
        ManualClock(Arc::new(AtomicI64::new(start.as_micros())))
    }

    fn step(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let micros = Arc::clone(&self.0);
        Arc::new(move || Time::from_micros(micros.load(Ordering::Relaxed)))
    }
}

/// Files that hold one line of `numbered` and no more.
fn one_line_a_file(dir: &Path, keep: usize) -> LogConfig {
    LogConfig { max_file_size: 150, max_rotated_files: keep, log_dir: dir.to_owned() }
}

fn open(config: &LogConfig, id: &str, rotated: Rotated, clock: &ManualClock) -> PluginLogger {
    PluginLogger::open_with(config, id, rotated, clock.clock()).unwrap()
}

fn log_numbers(logger: &PluginLogger, numbers: impl IntoIterator<Item = u32>) {
    numbers.into_iter().for_each(|number| logger.log(LogLevel::Info, format!("{number}")).unwrap());
}

/// The files in `plugins` by name, without locks.
fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("plugins")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".lock")).collect();
    names.sort_unstable();
    names
}

fn messages(page: &Page) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.message.as_str()).collect()
}

fn newest(config: &LogConfig, id: &str, count: usize) -> Page {
    LogReader::of(config).read(id, LogLevel::Trace, 0, count).unwrap()
}

fn append_raw(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_line_has_every_key_and_null_for_what_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig::in_dir(dir.path());
    assert_eq!((config.max_file_size, config.max_rotated_files), (10 << 20, 5));
    let logger = open(&config, "weather", Rotated::Plain, &ManualClock::new());
    logger.log(LogLevel::Warn, "two\nlines").unwrap();
    let text = fs::read_to_string(dir.path().join("plugins/weather.log")).unwrap();
    assert_eq!(
        text,
        "{\"timestamp\":\"2026-01-02T03:04:05.000000Z\",\"level\":\"warn\",\"message\":\"two\\nlines\",\
         \"plugin\":\"weather\",\"error\":null,\"pid\":null}\n"
    );
}

#[test]
fn rotations_of_one_second_keep_every_file_and_the_oldest_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let (config, clock) = (one_line_a_file(dir.path(), 3), ManualClock::new());
    let logger = open(&config, "a", Rotated::Plain, &clock);
    log_numbers(&logger, 1..=3);
    clock.step(1);
    log_numbers(&logger, 4..=4);
    let expected =
        ["a-20260102-030405.log", "a-20260102-030405_0002.log", "a-20260102-030406.log", "a.log"].map(str::to_owned);
    assert_eq!(files(dir.path()), expected);
    log_numbers(&logger, 5..=5);
    assert_eq!(files(dir.path())[0], expected[1]);
    let page = newest(&config, "a", 10);
    assert_eq!(messages(&page), ["5", "4", "3", "2"]);
    assert_eq!((page.next, page.skipped, page.gone), (None, 0, false));
}

#[test]
fn a_file_is_filled_to_its_limit_and_never_past_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { max_file_size: 10_000, max_rotated_files: 1_000, log_dir: dir.path().to_owned() };
    let logger = open(&config, "a", Rotated::Plain, &ManualClock::new());
    log_numbers(&logger, 1_000..9_000); // every line has the same length
    let line = fs::read_to_string(logger.path()).unwrap().lines().next().unwrap().len() as u64 + 1;
    let sizes = files(dir.path()).into_iter().map(|name| fs::metadata(dir.path().join("plugins").join(name)).unwrap());
    let mut sizes: Vec<u64> = sizes.map(|found| found.len()).collect();
    sizes.pop(); // the live one
    assert!(sizes.len() > 80 && sizes.iter().all(|size| *size == 10_000 / line * line), "{sizes:?}");
}

#[test]
fn plugins_with_names_alike_keep_out_of_each_others_files() {
    let dir = tempfile::tempdir().unwrap();
    let (config, clock) = (one_line_a_file(dir.path(), 1), ManualClock::new());
    let ids = ["a", "a-b", "a.log", "a-20260102", "a-b.c"];
    let loggers = ids.map(|id| open(&config, id, Rotated::Zstd, &clock));
    for number in 1..=5 {
        clock.step(1);
        loggers.iter().for_each(|logger| log_numbers(logger, [number]));
    }
    for id in ids {
        assert_eq!(messages(&newest(&config, id, 10)), ["5", "4"], "{id}");
    }
    assert_eq!(files(dir.path()).len(), ids.len() * 2);
    let mut sorted = ids;
    sorted.sort_unstable();
    assert_eq!(LogReader::of(&config).plugins().unwrap(), sorted);
}

#[test]
fn an_id_that_is_a_path_or_a_rotated_files_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig::in_dir(dir.path());
    for id in ["", "..", "../a", "/etc/passwd", ".a", "a b", "a-20260102-030405", "a-20260102-030405_0002"] {
        let refused = PluginLogger::open(&config, id).unwrap_err();
        assert!(matches!(&refused, ComponentError::BadId { id: named, .. } if named == id), "{refused}");
        assert!(LogReader::of(&config).read(id, LogLevel::Info, 0, 1).is_err());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_entry_that_no_file_can_hold_is_refused_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let config = one_line_a_file(dir.path(), 9);
    let logger = PluginLogger::open(&config, "a").unwrap();
    let refused = logger.log(LogLevel::Info, "x".repeat(150)).unwrap_err();
    assert!(matches!(refused, ComponentError::TooLong { bytes_max: 150, .. }), "{refused}");
    log_numbers(&logger, [1]);
    assert_eq!((logger.dropped(), messages(&newest(&config, "a", 9))), (1, vec!["1"]));

    let large = LogConfig { max_file_size: 1 << 30, ..config };
    let refused = PluginLogger::open(&large, "a").unwrap().log(LogLevel::Info, "x".repeat(LINE_BYTES_MAX)).unwrap_err();
    assert!(matches!(refused, ComponentError::TooLong { bytes_max: 1_048_576, .. }), "{refused}");
}

#[test]
fn a_line_of_exactly_the_limit_has_a_file_for_itself_even_behind_a_torn_one() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let probe = open(&LogConfig::in_dir(dir.path()), "probe", Rotated::Plain, &clock);
    log_numbers(&probe, [1]);
    let limit = fs::metadata(probe.path()).unwrap().len() + 4; // the id is shorter
    let config = LogConfig { max_file_size: limit, max_rotated_files: 9, log_dir: dir.path().to_owned() };
    let logger = open(&config, "p", Rotated::Plain, &clock);
    append_raw(&logger.path(), b"{\"tor");
    logger.log(LogLevel::Info, "x".repeat(9)).unwrap();
    assert_eq!(fs::metadata(logger.path()).unwrap().len(), limit);
    assert_eq!(newest(&config, "p", 9).skipped, 1);
}

#[test]
fn torn_and_foreign_lines_are_skipped_and_counted_and_cost_themselves_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig::in_dir(dir.path());
    let logger = PluginLogger::open(&config, "a").unwrap();
    log_numbers(&logger, [1]);
    append_raw(&logger.path(), b"not ours\n\n\xff\xfe\n{\"level\":\"info\"}\n");
    append_raw(
        &logger.path(),
        b"{\"timestamp\":\"2026-01-02T03:04:05Z\",\"level\":\"Info\",\"message\":\"2\",\"odd\":[1]}\n{\"timest",
    );
    assert_eq!(newest(&config, "a", 9).skipped, 4, "the torn end included");
    log_numbers(&logger, [3]); // an open logger sees it
    append_raw(&logger.path(), b"{\"timest");
    drop(logger);
    log_numbers(&PluginLogger::open(&config, "a").unwrap(), [4]); // and so does a new one
    let page = newest(&config, "a", 9);
    assert_eq!((messages(&page), page.skipped), (vec!["4", "3", "2", "1"], 5));
    assert_eq!((page.entries[2].plugin.as_str(), &page.entries[2].fields()["odd"]), ("a", &json!([1])));
}

#[test]
fn levels_are_filtered_by_severity_and_pages_count_what_passes() {
    let dir = tempfile::tempdir().unwrap();
    let config = one_line_a_file(dir.path(), 99);
    let logger = PluginLogger::open(&config, "a").unwrap();
    for number in 0..50u32 {
        logger.log(LogLevel::ALL[number as usize % 5], format!("{number}")).unwrap();
    }
    let reader = LogReader::of(&config);
    let page = |number| reader.read("a", LogLevel::Warn, number, 6).unwrap();
    assert_eq!(messages(&page(0)), ["49", "48", "44", "43", "39", "38"]);
    assert_eq!(messages(&page(3)), ["4", "3"]);
    assert_eq!(page(4), Page::default());
    assert_eq!(reader.read("a", LogLevel::Warn, usize::MAX, usize::MAX).unwrap(), Page::default());
    assert!(reader.read("a", LogLevel::Warn, 0, 0).unwrap().entries.is_empty());
}

#[test]
fn an_unknown_plugin_is_an_empty_page_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig::in_dir(dir.path().join("none"));
    assert_eq!(newest(&config, "a", 9), Page::default());
    assert_eq!(LogReader::of(&config).plugins().unwrap(), Vec::<String>::new());
    assert!(!config.log_dir.exists());
}

#[test]
fn the_first_page_of_a_full_log_costs_two_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig::in_dir(dir.path());
    let logger = PluginLogger::open(&config, "a").unwrap();
    let message = "x".repeat(1_000);
    while fs::metadata(logger.path()).unwrap().len() < (10 << 20) - 2_000 {
        logger.log(LogLevel::Info, message.as_str()).unwrap();
    }
    let before = bytes_read();
    let page = newest(&config, "a", 50);
    let cost = bytes_read() - before;
    assert_eq!(page.entries.len(), 50);
    assert!((50_000..140_000).contains(&cost), "{cost} bytes");
    let before = bytes_read();
    LogReader::of(&config).read_from("a", LogLevel::Info, page.next.as_ref(), 50).unwrap();
    assert!(bytes_read() - before < 140_000);
}

/// How much this thread has read so far.
fn bytes_read() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
fn a_cursor_stays_where_it_is_while_the_log_grows_rotates_and_is_compressed() {
    for rotated in [Rotated::Plain, Rotated::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig { max_file_size: 700, max_rotated_files: 99, log_dir: dir.path().to_owned() };
        let logger = open(&config, "a", rotated, &ManualClock::new());
        log_numbers(&logger, 0..60);
        let reader = LogReader::of(&config);
        let (mut seen, mut cursor, mut written) = (Vec::new(), None, 60);
        loop {
            let page = reader.read_from("a", LogLevel::Trace, cursor.as_ref(), 7).unwrap();
            seen.extend(page.entries.iter().map(|entry| entry.message.parse::<u32>().unwrap()));
            assert_eq!((page.skipped, page.gone), (0, false));
            log_numbers(&logger, written..written + 20);
            written += 20;
            match page.next {
                Some(next) => cursor = Some(next.to_string().parse().unwrap()),
                None => break,
            }
        }
        assert_eq!(seen, (0..60).rev().collect::<Vec<u32>>(), "{rotated:?}");
    }
}

#[test]
fn a_cursor_into_deleted_files_says_that_they_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (config, clock) = (one_line_a_file(dir.path(), 3), ManualClock::new());
    let logger = open(&config, "a", Rotated::Plain, &clock);
    let reader = LogReader::of(&config);
    let next = |page: &Page| reader.read_from("a", LogLevel::Trace, page.next.as_ref(), 1).unwrap();
    log_numbers(&logger, 1..=4);
    let live = newest(&config, "a", 1);
    let closed = next(&live);
    assert_eq!((messages(&live), messages(&closed)), (vec!["4"], vec!["3"]));

    log_numbers(&logger, [5]); // 1 is deleted
    let page = next(&live);
    assert_eq!((messages(&page), page.gone), (vec!["3"], true));
    let page = next(&page);
    assert_eq!((messages(&page), page.gone, page.next.is_none()), (vec!["2"], false, true), "it is said once");

    log_numbers(&logger, 6..=20);
    for page in [next(&live), next(&closed)] {
        assert_eq!((messages(&page), page.gone, page.next.is_none()), (vec![], true, true));
    }
}

#[test]
fn compressed_files_are_read_as_plain_ones_and_zstd_knows_them() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { max_file_size: 20_000, max_rotated_files: 5, log_dir: dir.path().to_owned() };
    let logger = open(&config, "a", Rotated::Zstd, &ManualClock::new());
    log_numbers(&logger, 0..600);
    let names = files(dir.path());
    assert!(names.len() == 4 && names[..3].iter().all(|name| name.ends_with(".log.zst")), "{names:?}");
    let expected: Vec<String> = (0..600).rev().map(|number: u32| number.to_string()).collect();
    assert_eq!(messages(&newest(&config, "a", 1_000)), expected);
    let first = File::open(dir.path().join("plugins").join(&names[0])).unwrap();
    let text = String::from_utf8(zstd::decode_all(first).unwrap()).unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<LogEntry>(line).is_ok()) && text.len() <= 20_000);
}

#[test]
fn a_damaged_compressed_file_costs_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (config, clock) = (one_line_a_file(dir.path(), 9), ManualClock::new());
    log_numbers(&open(&config, "a", Rotated::Zstd, &clock), 1..=3);
    let path = dir.path().join("plugins/a-20260102-030405_0002.log.zst");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(&path, b"(\xb5/\xfdgarbage").unwrap();
    let page = newest(&config, "a", 9);
    assert_eq!((messages(&page), page.skipped), (vec!["3", "1"], 1));
}

#[test]
fn a_kill_at_any_step_of_a_rotation_is_mended_on_open() {
    let plugins = |dir: &Path, name: &str| dir.join("plugins").join(name);
    type Step = fn(&Path);
    let close: Step = |live| fs::set_permissions(live, fs::Permissions::from_mode(0o440)).unwrap();
    let rename: Step = |live| fs::rename(live, live.with_file_name("a-20260102-030406.log")).unwrap();
    let half_packed: Step = |live| fs::write(live.with_file_name(".a-20260102-030405.log.zst.tmp"), "half").unwrap();
    let packed: Step = |live| {
        let plain = live.with_file_name("a-20260102-030405.log");
        let bytes = zstd::encode_all(&fs::read(&plain).unwrap()[..], 1).unwrap();
        fs::write(live.with_file_name("a-20260102-030405.log.zst"), bytes).unwrap();
    };
    let abandoned: Step = |live| fs::write(live.with_file_name(".a-20250102-030405.log.zst.tmp"), "half").unwrap();
    let no_lock: Step = |live| fs::remove_file(live.with_file_name(".a.lock")).unwrap();
    let bad_lock: Step = |live| fs::write(live.with_file_name(".a.lock"), [7; 24]).unwrap();
    let steps: [&[Step]; 8] = [
        &[close],
        &[close, rename],
        &[rename],
        &[half_packed],
        &[packed],
        &[abandoned],
        &[no_lock, close],
        &[bad_lock],
    ];
    for (number, steps) in steps.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let (config, clock) = (one_line_a_file(dir.path(), 9), ManualClock::new());
        log_numbers(&open(&config, "a", Rotated::Plain, &clock), 1..=2);
        clock.step(1);
        steps.iter().for_each(|step| step(&plugins(dir.path(), "a.log")));
        let logger = open(&config, "a", Rotated::Zstd, &clock);
        log_numbers(&logger, 3..=4);
        let page = newest(&config, "a", 9);
        assert_eq!((messages(&page), page.skipped), (vec!["4", "3", "2", "1"], 0), "case {number}");
        let names = files(dir.path());
        assert!(names.iter().all(|name| name.ends_with(".log.zst") || name == "a.log"), "case {number}: {names:?}");
    }
}

#[test]
fn an_open_logger_survives_what_others_do_to_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig::in_dir(dir.path().join("logs"));
    let logger = PluginLogger::open(&config, "a").unwrap();
    log_numbers(&logger, [1]);
    fs::remove_dir_all(&config.log_dir).unwrap();
    log_numbers(&logger, [2]);
    fs::remove_file(logger.path()).unwrap();
    log_numbers(&logger, [3]);
    assert_eq!(messages(&newest(&config, "a", 9)), ["3"]);
    logger.flush().unwrap();
    assert_eq!(logger.dropped(), 0);
}

#[test]
fn a_closed_file_cannot_be_written_by_who_has_it_still_open() {
    let dir = tempfile::tempdir().unwrap();
    let (config, clock) = (one_line_a_file(dir.path(), 9), ManualClock::new());
    let (idle, busy) = (open(&config, "a", Rotated::Zstd, &clock), open(&config, "a", Rotated::Zstd, &clock));
    log_numbers(&idle, [1]);
    log_numbers(&busy, [2, 3]);
    assert!(files(dir.path())[0].ends_with("030405.log"), "not compressed: `idle` has it open");
    log_numbers(&idle, [4]);
    let names = files(dir.path());
    assert!(names.len() == 4 && names[0].ends_with(".log.zst"), "{names:?}");
    assert_eq!(messages(&newest(&config, "a", 9)), ["4", "3", "2", "1"]);
}

#[test]
fn who_was_granted_more_of_a_file_goes_to_the_new_one_once_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { max_file_size: 100_000, max_rotated_files: 9, log_dir: dir.path().to_owned() };
    let clock = ManualClock::new();
    let (idle, busy) = (open(&config, "a", Rotated::Plain, &clock), open(&config, "a", Rotated::Plain, &clock));
    log_numbers(&idle, 1..=9); // it is granted more than that by now
    log_numbers(&busy, 10..=1_000);
    log_numbers(&idle, [1_001]);
    assert!(files(dir.path()).len() > 1);
    let live = fs::read_to_string(idle.path()).unwrap();
    assert!(live.ends_with('\n') && live.lines().last().unwrap().contains("\"1001\""), "{live}");
}

#[test]
fn what_short_lived_writers_did_not_use_is_not_lost_for_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { max_file_size: 1 << 20, max_rotated_files: 9, log_dir: dir.path().to_owned() };
    let long_lived = PluginLogger::open(&config, "a").unwrap();
    for number in 0..500 {
        log_numbers(&PluginLogger::open(&config, "a").unwrap(), number * 8..number * 8 + 8); // each is granted more than that
    }
    log_numbers(&long_lived, [4_000]);
    let size = fs::metadata(long_lived.path()).unwrap().len();
    assert!(size < (1 << 20) && size > 400_000, "{size}");
    assert_eq!(files(dir.path()), ["a.log"]);
    assert_eq!(newest(&config, "a", 9_999).entries.len(), 4_001);
}

#[test]
fn files_are_for_the_owner_and_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let config = one_line_a_file(&dir.path().join("logs"), 9);
    let logger = open(&config, "a", Rotated::Plain, &ManualClock::new());
    log_numbers(&logger, 1..=2);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let plugins = config.log_dir.join("plugins");
    assert_eq!([mode(&logger.path()) & 0o137, mode(&plugins) & 0o027], [0, 0]);
    assert_eq!(mode(&plugins.join("a-20260102-030405.log")), 0o440);
}

#[test]
fn the_supervisor_says_what_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { max_file_size: 300, max_rotated_files: 20, log_dir: dir.path().to_owned() };
    let log = SupervisorLogger::open_with(&config, Rotated::Plain, ManualClock::new().clock()).unwrap();
    log.enable("a").unwrap();
    log.spawn("a", 7).unwrap();
    log.crash("a", 7, "signal 11").unwrap();
    log.restart("a", 2, Duration::from_millis(1_500)).unwrap();
    log.kill("a", 8).unwrap();
    log.gave_up("a", "five crashes in a minute").unwrap();
    log.disable("a").unwrap();
    log.flush().unwrap();

    assert_eq!(log.path(), dir.path().join("plugin-supervisor.log"));
    assert!(dir.path().join("plugin-supervisor-20260102-030405.log").exists(), "it rotates");
    let page = LogReader::of(&config).supervisor(LogLevel::Trace, None, 99).unwrap();
    let told: Vec<Value> = page
        .entries
        .iter()
        .rev()
        .map(|entry| json!([entry.fields()["event"], entry.level, entry.plugin, entry.pid, entry.error]))
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["enable", "info", "a", null, null],
            ["spawn", "info", "a", 7, null],
            ["crash", "error", "a", 7, "signal 11"],
            ["restart", "warn", "a", null, null],
            ["kill", "info", "a", 8, null],
            ["gave_up", "error", "a", null, null],
            ["disable", "info", "a", null, null],
        ])
    );
    let restart = page.entries[3].fields();
    assert_eq!((&restart["attempt"], &restart["delay_ms"]), (&json!(2), &json!(1_500)));
    assert_eq!(page.entries[1].fields()["reason"], "five crashes in a minute");
    assert_eq!(log.dropped(), 0);
}
