//! What recovery does where a session cannot take what is in its rings as it comes.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::ExitStatusExt},
    path::Path,
};

use logboom::{Live, LogCollector};
use logboom_files::{Session, session::Counts};

use crate::{
    common::{again, role},
    small_disk::SmallDisk,
};

fn only_session(dir: &Path) -> Session {
    let path = fs::read_dir(dir.join("sessions")).unwrap().next().unwrap().unwrap().path();
    Session::open(&path).unwrap()
}

/// A live consumer that holds the writer at the first record for ever.
fn stuck() -> Live {
    Live::new(|_| {
        loop {
            std::thread::park();
        }
    })
}

const THREADS: u64 = 40;
const RECORDS: u64 = 20;

/// Ends with 8 MB of what cannot be compressed in rings.
fn leave_much(dir: &Path) -> ! {
    let collector = LogCollector::builder(dir).live(stuck()).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let collector = &collector;
            scope.spawn(move || {
                let mut random = 88_172_645_463_325_252 ^ thread;
                for _ in 0..RECORDS {
                    let bytes = (0..10_000).map(|_| {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        char::from(b'!' + (random % 90) as u8)
                    });
                    collector.log_str(&bytes.collect::<String>());
                }
            });
        }
    });
    std::process::abort()
}

fn blocks(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().blocks()).sum()
}

#[test]
fn what_a_disk_refuses_for_a_moment_stays_in_the_rings() {
    let test = "recovers::what_a_disk_refuses_for_a_moment_stays_in_the_rings";
    if let Some((_, dir)) = role() {
        leave_much(&dir);
    }
    let disk = SmallDisk::new("64m");
    assert_eq!(again(test, "leave", disk.path()).status().unwrap().signal(), Some(libc::SIGABRT));
    let left = only_session(disk.path()).dir().to_owned();
    for room in (1..=8).map(|part| part << 18) {
        let copy = disk.path().join("copy");
        fs::create_dir(&copy).unwrap();
        for file in fs::read_dir(&left).unwrap().flatten() {
            fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        let session = Session::open(&copy).unwrap();
        disk.fill_but(room);
        let before = blocks(&copy);
        std::thread::scope(|scope| {
            let recovery = scope.spawn(|| logboom::recover(&session));
            while blocks(&copy) < before + room / 512 && !recovery.is_finished() {
                std::hint::spin_loop();
            }
            disk.make_room();
            drop(recovery.join().unwrap()); // which of the two was first is not known
        });
        logboom::recover(&session).unwrap();
        let counts = session.meta().unwrap().runs.remove(0).counts.unwrap();
        let Counts { records, lost, .. } = counts;
        assert_eq!((records, lost), (THREADS * RECORDS, 0), "{room}");
        fs::remove_dir_all(&copy).unwrap();
    }
}
