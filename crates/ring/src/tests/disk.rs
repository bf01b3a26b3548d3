//! A disk that is full: an error where a ring file is made or grows, and never a signal.

use std::{fs, io, process::Command};

use super::*;
use crate::RingError;

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
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn is_full<T>(result: Result<T, RingError>) -> bool {
    matches!(result, Err(RingError::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull)
}

#[test]
fn a_file_that_has_no_room_is_not_there() {
    let disk = SmallDisk::new("16k");
    let path = disk.0.path().join("a.ring");
    assert!(fs::write(disk.0.path().join("filler"), [1; 32 << 10]).is_err());
    let created = RingFile::create(&path, &ClockAnchor::new(Clock::detect()), Arc::new(Waker::new()));
    assert!(is_full(created) && !path.exists());
}

#[test]
fn rings_that_have_no_room_are_refused_and_the_others_work() {
    let disk = SmallDisk::new("128k");
    let path = disk.0.path().join("a.ring");
    let (file, mut drain) = create(&path);
    let mut producers = Vec::new();
    let refused = loop {
        match file.producer(0) {
            Ok(producer) => producers.push(producer),
            Err(error) => break error,
        }
    };
    assert!(is_full::<()>(Err(refused)) && producers.len() == 6);
    fs::write(disk.0.path().join("filler"), [1; 32 << 10]).unwrap_err();
    assert!(is_full(file.add_site(1, || vec![1; 100])));
    for producer in &mut producers {
        while log(producer, 1, 1, &[9; 100]) {}
        assert!(producer.slot().len() < 128);
    }
    assert_eq!(drain_all(&mut drain).len(), 6 * (16384 / 128));

    fs::remove_file(disk.0.path().join("filler")).unwrap();
    producers.pop();
    drain.look();
    assert!(log(&mut file.producer(0).unwrap(), 1, 1, b"again"));
    file.add_site(1, || vec![1; 100]).unwrap();
    assert_eq!(DeadRings::open(&path).unwrap().sites()[&1], [1; 100]);
}
