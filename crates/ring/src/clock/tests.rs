use super::*;

const START_NS: i64 = 1_700_000_000 * SECOND_NS;
/// 2.5 ticks a nanosecond.
const RATE: u64 = ONE / 5 * 2;

/// A machine whose counter runs evenly and whose system clock does what `drift` says: nanoseconds ahead, after so many.
struct Machine<D: Fn(i64) -> i64>(D);

impl<D: Fn(i64) -> i64> Machine<D> {
    fn ticks(&self, ns: i64) -> u64 {
        1_000_000 + (ns * 5 / 2) as u64
    }

    fn read(&self, ns: i64) -> Reading {
        Reading { ticks: self.ticks(ns), unix_ns: START_NS + ns + (self.0)(ns) }
    }

    /// Converts a record's ticks at each of these moments. Gives the times, and the largest error in microseconds of those after `settled_ns`.
    fn run(&self, moments: impl Iterator<Item = i64>, settled_ns: i64) -> (Vec<i64>, i64) {
        let mut anchor = ClockAnchor::at(Clock::Tsc, self.read(0), RATE);
        let (mut times, mut worst) = (Vec::new(), 0);
        for ns in moments {
            if anchor.is_due(self.ticks(ns)) {
                anchor.refresh(self.read(ns + 2_000));
            }
            let time = anchor.time(self.ticks(ns)).as_micros();
            let error = (time - self.read(ns).unix_ns / 1000).abs();
            worst = if ns >= settled_ns { worst.max(error) } else { worst };
            times.push(time);
        }
        (times, worst)
    }
}

fn every_ms(seconds: i64) -> impl Iterator<Item = i64> {
    (0..seconds * 1000).map(|ms| ms * 1_000_000)
}

#[test]
fn a_clock_that_is_slewed_is_followed_without_a_step_back() {
    let slewed = Machine(|ns| if ns < 20 * SECOND_NS { ns / 2000 } else { 20 * SECOND_NS / 1000 - ns / 2000 });
    let (times, worst) = slewed.run(every_ms(60), 3 * SECOND_NS);
    assert!(times.is_sorted());
    assert!(worst < 2_000, "{worst} µs");
}

#[test]
fn a_rate_that_was_measured_badly_is_made_up_for() {
    let (times, worst) = Machine(|ns| ns / 5_000).run(every_ms(20), 10 * SECOND_NS);
    assert!(times.is_sorted());
    assert!(worst < 50, "{worst} µs");
}

#[test]
fn after_an_hour_of_sleep_times_are_right_and_still_in_order() {
    let sleepy = (0..20).flat_map(|hour| (0..50).map(move |ms| hour * 3600 * SECOND_NS + ms * 1_000_000));
    let (times, worst) = Machine(|ns| ns / 20_000).run(sleepy, 3600 * SECOND_NS);
    assert!(times.is_sorted());
    assert!(worst < 100, "{worst} µs");
}

#[test]
fn a_step_is_followed_at_once() {
    for step_ns in [SECOND_NS, -SECOND_NS] {
        let stepped = Machine(|ns| if ns < 5 * SECOND_NS { 0 } else { step_ns });
        let (times, worst) = stepped.run(every_ms(10), 6 * SECOND_NS + 10_000_000);
        assert_eq!(times.is_sorted(), step_ns > 0);
        assert!(worst < 50, "{worst} µs");
    }
}

#[test]
fn late_records_keep_their_place() {
    let machine = Machine(|ns| ns / 1_000);
    let mut anchor = ClockAnchor::at(Clock::Tsc, machine.read(0), RATE);
    let late = machine.ticks(SECOND_NS - 5_000_000);
    let before = anchor.time(late);
    anchor.time(machine.ticks(SECOND_NS));
    anchor.refresh(machine.read(SECOND_NS + 1_000));
    let moved = anchor.time(late).as_micros() - before.as_micros();
    assert!((0..=1).contains(&moved), "{moved} µs"); // the rounding of a nanosecond, never backwards
}

#[test]
fn a_clock_comes_back_from_the_file_as_it_was() {
    let mut anchor = ClockAnchor::new(Clock::detect());
    anchor.time(anchor.clock().ticks());
    anchor.refresh(anchor.clock().read());
    let mut read = ClockAnchor::from_words(anchor.clock(), anchor.to_words());
    let now = anchor.clock().ticks();
    for ticks in [0, now - 1_000_000, now, now + 1_000_000_000, u64::MAX] {
        assert_eq!(read.time(ticks), anchor.time(ticks));
    }
}
