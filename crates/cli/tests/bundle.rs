//! `export --bundle` and `import`: a session as one file, and back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helper may fail as the test does")]

mod common;
#[path = "../../files/tests/small_disk/mod.rs"]
mod small_disk;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{Done, Logboom, Running, wait_until};
use small_disk::SmallDisk;

const ID: &str = "2026-01-02_03-04-05_8c1f03ab";

/// What the files of a directory hold, by name.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn latest_dir(logboom: &Logboom) -> PathBuf {
    PathBuf::from(logboom.latest()["dir"].as_str().unwrap())
}

/// What there is beside the sessions, hidden things included.
fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn sessions_of(logboom: &Logboom) -> Vec<String> {
    names_in(&logboom.data().join("sessions"))
}

/// What the reading commands say of the latest session.
fn said(logboom: &Logboom) -> Vec<String> {
    let commands: [&[&str]; 6] = [
        &["show", "--json"],
        &["show", "--raw"],
        &["tail", "-n", "3"],
        &["search", "--json", "line"],
        &["verify"],
        &["sessions", "--json"],
    ];
    let own = logboom.data().display().to_string();
    commands
        .iter()
        .map(|command| logboom.run(*command))
        .map(|done| done.text().replace(&own, "DATA") + &done.stderr)
        .collect()
}

/// Exports the latest session, imports it elsewhere, and checks that there is no difference. Gives the other data dir.
#[track_caller]
fn round_trip(logboom: &Logboom) -> Logboom {
    let other = Logboom::new();
    let (first, second) = (logboom.path("first"), other.path("second"));
    logboom.run(["export", "--bundle", first.to_str().unwrap()]).expect(0);
    other.run(["import", first.to_str().unwrap()]).expect(0);
    assert_eq!(files(&latest_dir(&other)), files(&latest_dir(logboom)));
    assert_eq!(said(&other), said(logboom));
    other.run(["export", "--bundle", second.to_str().unwrap()]).expect(0);
    assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "the same bundle, byte for byte");
    other
}

/// A session of several runs.
fn nightly(logboom: &Logboom) {
    let id = logboom.text(["session", "start", "--name", "nightly"]).trim().to_owned();
    for script in ["seq -f 'line %.0f' 5000", "printf 'no newline\\0\\377'; echo line two >&2; exit 3"] {
        logboom.run(["exec", "--session", &id, "--", "sh", "-c", script]);
    }
    logboom.run(["exec", "--no-boom", "--session", &id, "--", "echo", "line in text alone"]).expect(0);
    logboom.run(["session", "end", &id]).expect(0);
}

#[test]
fn a_session_comes_back_byte_for_byte_and_is_read_as_before() {
    let logboom = Logboom::new();
    nightly(&logboom);
    let other = round_trip(&logboom);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = latest_dir(&other);
    assert_eq!((mode(&dir), mode(&dir.join("session.json")), mode(&dir.join("records.boom"))), (0o700, 0o600, 0o600));
    assert_eq!(sessions_of(&other).len(), 1, "nothing else is left");
}

#[test]
fn a_killed_session_comes_back_with_its_tail() {
    for options in [&["run", "-q"][..], &["run", "-q", "--no-boom"]] {
        let logboom = Logboom::new();
        let script = ["--", "sh", "-c", "seq -f 'line %.0f' 3000; exec sleep 1000"];
        let mut running = logboom.start([options, &script[..]].concat());
        wait_until(|| logboom.run(["tail", "-n", "1", "--raw"]).text() == "line 3000\n");
        let sleeping = fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap();
        let exec = sleeping.lines().find(|line| line.contains("\"exec\"")).unwrap();
        let pid = serde_json::from_str::<serde_json::Value>(exec).unwrap()["pid"].as_u64().unwrap();
        running.kill_9();
        common::signal("-KILL", pid.try_into().unwrap());
        let other = round_trip(&logboom);
        assert_eq!(other.latest()["outcome"], "lost");
    }
}

#[test]
fn a_session_that_runs_is_refused_and_one_that_is_open_too() {
    let logboom = Logboom::new();
    let running = Running::of(logboom.command(["run", "--", "sh", "-c", "read go"]).stdin(Stdio::piped()));
    wait_until(|| !logboom.jsons(["sessions", "--json"]).is_empty());
    let done = logboom.run(["export", "--bundle", "out"]).expect(2);
    assert!(done.stderr.contains("still runs"), "{}", done.stderr);
    drop(running);
    logboom.run(["session", "start"]).expect(0);
    logboom.run(["export", "--bundle", "out"]).expect(2);
    assert!(!logboom.path("out").exists());
    assert_eq!(names_in(logboom.home()), ["data"]);
}

#[test]
fn tar_and_zstd_open_it() {
    let logboom = Logboom::new();
    nightly(&logboom);
    logboom.run(["export", "--bundle", "."]).expect(0);
    let id = logboom.latest()["id"].as_str().unwrap().to_owned();
    let tar = Command::new("tar")
        .args(["--zstd", "-xf"])
        .arg(logboom.path(&format!("{id}.tar.zst")))
        .current_dir(logboom.home())
        .output();
    let tar = Done::from(tar.unwrap()).expect(0);
    assert_eq!(tar.stderr, "");
    assert_eq!(files(&logboom.path(&id)), files(&latest_dir(&logboom)));

    // And what a person packs so comes back, too.
    let packed = logboom.path("by-hand.tar.zst");
    let tar =
        Command::new("tar").args(["--zstd", "-cf"]).arg(&packed).arg(&id).current_dir(logboom.home()).output().unwrap();
    Done::from(tar).expect(0);
    let other = Logboom::new();
    other.run(["import", packed.to_str().unwrap()]).expect(0);
    assert_eq!(files(&latest_dir(&other)), files(&latest_dir(&logboom)));
}

#[test]
fn it_goes_through_a_pipe() {
    let logboom = Logboom::new();
    nightly(&logboom);
    let bundle = logboom.run(["export", "--bundle", "-"]).expect(0).stdout;
    let other = Logboom::new();
    let imported = other.run_with_input(["import", "-", "--json"], &bundle).expect(0);
    let imported: serde_json::Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(
        (imported["was_there"].as_bool(), imported["id"].as_str()),
        (Some(false), logboom.latest()["id"].as_str())
    );
    assert_eq!(said(&other), said(&logboom));
}

#[test]
fn a_session_that_is_there_stays_as_it_is() {
    let logboom = Logboom::new();
    nightly(&logboom);
    logboom.run(["export", "--bundle", "out"]).expect(0);
    let done = logboom.run(["import", "out"]).expect(0);
    assert!(done.text().contains("was there already"), "{}", done.text());
    let before = files(&latest_dir(&logboom));
    File::options().append(true).open(logboom.session_file("timeline.jsonl")).unwrap().write_all(b"{}\n").unwrap();
    let done = logboom.run(["import", "out"]).expect(2);
    assert!(done.stderr.contains("is there already, and is not what"), "{}", done.stderr);
    fs::write(logboom.session_file("timeline.jsonl"), &before["timeline.jsonl"]).unwrap();
    fs::write(logboom.session_file("more.log"), "").unwrap();
    logboom.run(["import", "out"]).expect(2);
    assert_eq!(sessions_of(&logboom).len(), 1);
}

#[test]
fn what_is_no_file_of_a_session_is_left_out_and_named() {
    let logboom = Logboom::new();
    logboom.run(["run", "echo", "x"]).expect(0);
    let dir = latest_dir(&logboom);
    symlink("/etc/passwd", dir.join("link")).unwrap();
    fs::create_dir(dir.join("sub")).unwrap();
    fs::write(dir.join("session.json.tmp"), "half").unwrap();
    let done = logboom.run(["export", "--bundle", "out"]).expect(0);
    assert!(done.stderr.contains("\"link\"") && done.stderr.contains("\"sub\""), "{}", done.stderr);
    let other = Logboom::new();
    other.run(["import", logboom.path("out").to_str().unwrap()]).expect(0);
    let names = names_in(&latest_dir(&other));
    assert!(!names.iter().any(|name| ["link", "sub", "session.json.tmp"].contains(&name.as_str())), "{names:?}");
}

#[test]
fn a_bundle_that_is_cut_off_or_damaged_leaves_nothing() {
    let logboom = Logboom::new();
    nightly(&logboom);
    let whole = logboom.run(["export", "--bundle", "-"]).expect(0).stdout;
    let other = Logboom::new();
    let cuts = (0..40).map(|step| whole.len() * step / 40).chain([whole.len() - 1, whole.len() - 4]);
    for cut in cuts {
        let done = other.run_with_input(["import", "-"], &whole[..cut]).expect(2);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    }
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let done = other.run_with_input(["import", "-"], &damaged);
        if done.code == Some(0) {
            // The compressed bytes may say the same in another way: the same words, copied from another place. The checksum is of what comes of them.
            assert!(other.run(["export", "--bundle", "-"]).expect(0).stdout == whole, "byte {at}");
            fs::remove_dir_all(other.data().join("sessions")).unwrap();
        } else {
            done.expect(2);
        }
    }
    other.run_with_input(["import", "-"], &[&whole[..], b"more"].concat()).expect(2);
    other.run_with_input(["import", "-"], &[&whole[..], &whole[..]].concat()).expect(2);
    assert_eq!(sessions_of(&other), [""; 0]);
    other.run_with_input(["import", "-"], &whole).expect(0);
}

/// A tar of these entries, each made by `change`, compressed by zstd(1).
fn bundle(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o4777);
        if *kind == tar::EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    compressed(&builder.into_inner().unwrap())
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut zstd =
        Command::new("zstd").args(["-q", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, bytes) = (zstd.stdin.take().unwrap(), bytes.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let done = zstd.wait_with_output().unwrap();
    writer.join().unwrap();
    done.stdout
}

#[test]
fn hostile_bundles_are_refused_and_leave_nothing() {
    use tar::EntryType as Type;
    let at = |name: &str| format!("{ID}/{name}");
    let (meta, other, up, deep) = (at("session.json"), at("records.boom"), at("../../evil"), at("sub/evil"));
    let log = at("only.log");
    let foreign = "2026-01-02_03-04-05_8c1f03ac/session.json";
    let good = (meta.as_str(), Type::Regular, &b"{}"[..]);
    let plain = |path| (path, Type::Regular, &b"x"[..]);
    let of_kind = |kind| (other.as_str(), kind, &b""[..]);
    let bundles: Vec<Vec<(&str, Type, &[u8])>> = vec![
        vec![],
        vec![good, plain("/tmp/evil")],
        vec![good, plain("../evil")],
        vec![good, plain(&up)],
        vec![good, plain(&deep)],
        vec![good, plain("evil")],
        vec![good, plain(foreign)],
        vec![good, good],
        vec![good, of_kind(Type::Symlink)],
        vec![good, of_kind(Type::Link)],
        vec![good, of_kind(Type::Char)],
        vec![good, of_kind(Type::Block)],
        vec![good, of_kind(Type::Fifo)],
        vec![good, of_kind(Type::GNUSparse)],
        vec![good, of_kind(Type::GNULongName)],
        vec![good, of_kind(Type::XGlobalHeader)],
        vec![good, (deep.as_str(), Type::Directory, b"")],
        vec![(ID, Type::Directory, b"x"), good],
        vec![plain(&log)],
        vec![good, (other.as_str(), Type::XHeader, b"30 path=/tmp/evil-by-a-header\n"), plain(&other)],
        vec![good, (other.as_str(), Type::XHeader, b"17 size=99999999\n"), plain(&other)],
    ];
    let logboom = Logboom::new();
    for entries in &bundles {
        let done = logboom.run_with_input(["import", "-"], &bundle(entries)).expect(2);
        assert!(done.stderr.contains("no bundle of a session"), "{}", done.stderr);
        assert_eq!(done.stderr.lines().count(), 1);
        assert_eq!(sessions_of(&logboom), [""; 0], "{}", done.stderr);
    }
    assert!(!Path::new("/tmp/evil").exists() && names_in(logboom.home()) == ["data"]);
    for garbage in [&b""[..], b"no zstd at all", &compressed(b"no tar at all"), &compressed(&[0; 5_000])] {
        logboom.run_with_input(["import", "-"], garbage).expect(2);
    }
    // What is only odd is taken, as another's damaged session would be.
    logboom.run_with_input(["import", "-"], &bundle(&[good])).expect(0);
    assert_eq!(sessions_of(&logboom), [ID]);
}

#[test]
fn verify_looks_at_no_file_outside_of_the_session() {
    let logboom = Logboom::new();
    logboom.run(["run", "--no-boom", "echo", "x"]).expect(0);
    let meta = logboom.session_file("session.json");
    let text = fs::read_to_string(&meta).unwrap();
    fs::copy(logboom.session_file("exec_echo.log"), logboom.data().join("elsewhere.log")).unwrap();
    let hostile = text.replace("\"exec_echo.log\"", "\"../../elsewhere.log\"");
    assert_ne!(hostile, text);
    fs::write(&meta, hostile).unwrap();
    let done = logboom.run(["verify"]).expect(1);
    assert!(done.text().contains("0 records") && done.text().contains("no file of the session"), "{}", done.text());
}

#[test]
fn a_bomb_is_refused_before_it_takes_room() {
    let logboom = Logboom::new();
    let mut header = tar::Header::new_ustar();
    header.set_path(format!("{ID}/session.json")).unwrap();
    header.set_size(1 << 50);
    header.set_mode(0o600);
    header.set_cksum();
    let huge = compressed(header.as_bytes());
    let done = logboom.run_with_input(["import", "-"], &huge).expect(2);
    assert!(done.stderr.contains("more than"), "{}", done.stderr);

    header.set_path(ID).unwrap();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_cksum();
    let done = logboom.run_with_input(["import", "-"], &compressed(&header.as_bytes().repeat(200_002))).expect(2);
    assert!(done.stderr.contains("more than 200001 entries"), "{}", done.stderr);

    nightly(&logboom);
    let bundle = logboom.run(["export", "--bundle", "-"]).expect(0).stdout;
    let other = Logboom::new();
    let done = other.run_with_input(["import", "-", "--max-bytes", "20KiB"], &bundle).expect(2);
    assert!(done.stderr.contains("more than 20 KiB"), "{}", done.stderr);
    other.run_with_input(["import", "-", "--max-bytes", "20MiB"], &bundle).expect(0);

    let meta = format!("{ID}/session.json");
    let mut endless = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_path(&meta).unwrap();
    header.set_size(0);
    header.set_cksum();
    endless.append(&header, &b""[..]).unwrap();
    let zeros = [endless.into_inner().unwrap(), vec![0; 8 << 20]].concat();
    let done = other.run_with_input(["import", "-"], &compressed(&zeros)).expect(2);
    assert!(done.stderr.contains("behind its end"), "{}", done.stderr);
}

#[test]
fn a_full_disk_leaves_nothing_behind_on_either_side() {
    let logboom = Logboom::new();
    let script = "head -c 3000000 /dev/urandom | base64";
    logboom.run(["run", "-q", "--", "sh", "-c", script]).expect(0);
    let bundle = logboom.path("bundle");
    logboom.run(["export", "--bundle", bundle.to_str().unwrap()]).expect(0);

    let disk = SmallDisk::new("2m");
    let on_disk = disk.path().join("out");
    let done = logboom.run(["export", "--bundle", on_disk.to_str().unwrap()]).expect(2);
    assert!(done.stderr.contains("No space left"), "{}", done.stderr);
    assert_eq!(names_in(disk.path()), [""; 0]);

    let other = Logboom::in_dir(disk.path().join("data"));
    for limit in [&[][..], &["--max-bytes", "1GiB"]] {
        let done = other.run([&["import", bundle.to_str().unwrap()], limit].concat()).expect(2);
        assert!(done.stderr.contains("make room"), "{}", done.stderr);
        assert_eq!(sessions_of(&other), [""; 0]);
    }
}

#[test]
fn what_a_killed_import_left_goes_with_the_next_cleaning_and_a_live_one_stays() {
    let logboom = Logboom::new();
    nightly(&logboom);
    let bundle = logboom.run(["export", "--bundle", "-"]).expect(0).stdout;
    let other = Logboom::new();
    let mut running =
        Running::of(other.command(["import", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = running.0.stdin.take().unwrap();
    stdin.write_all(&bundle[..bundle.len() - 10]).unwrap();
    wait_until(|| sessions_of(&other).iter().any(|name| name.starts_with(".import-")));
    other.run(["clean"]).expect(0);
    assert_eq!(sessions_of(&other).len(), 1, "it is still at work");
    assert!(other.run(["sessions"]).text().lines().count() <= 1, "and not listed");
    running.kill_9();
    other.run(["clean"]).expect(0);
    assert_eq!(sessions_of(&other), [""; 0]);
    drop(stdin);
}

#[test]
fn a_file_that_is_there_stays_until_the_new_one_is_whole_and_devices_stay_devices() {
    let logboom = Logboom::new();
    logboom.run(["run", "echo", "x"]).expect(0);
    fs::write(logboom.path("out"), "before").unwrap();
    symlink(logboom.path("out"), logboom.path("link")).unwrap();
    logboom.run(["export", "--bundle", "link"]).expect(0);
    assert!(fs::symlink_metadata(logboom.path("link")).unwrap().is_symlink());
    let name = logboom.home().canonicalize().unwrap().join("new");
    let first = logboom.text(["export", "--bundle", "new"]);
    assert!(first.ends_with(&format!(" in {}\n", name.display())), "{first}");
    assert_eq!(logboom.text(["export", "--bundle", "new"]), first, "named alike where it was there");
    fs::remove_file(name).unwrap();
    assert!(fs::read(logboom.path("out")).unwrap().starts_with(&[0x28, 0xB5, 0x2F, 0xFD]), "the magic of zstd");
    logboom.run(["export", "--bundle", "/dev/null"]).expect(0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let done = logboom.run(["export", "--bundle", "no/such/dir/out"]).expect(2);
    assert!(done.stderr.contains("cannot write no/such/dir/out"), "{}", done.stderr);
    logboom.run(["export"]).expect(2);
    logboom.run(["export", "--bundle", "a", "--html", "b"]).expect(2);
    assert_eq!(names_in(logboom.home()), ["data", "link", "out"]);
}
