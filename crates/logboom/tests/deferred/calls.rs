//! What the macros take, how often, and what they make of it.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use logboom::deferred::Site;
use logboom::private::{Level, Takes};
use logboom::{debug, error, info, log, trace, warn};

use crate::collected::Collected;

struct Point(i32);

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("<{}>", self.0))
    }
}

#[test]
fn a_call_comes_out_as_format_has_it() {
    let collector = Collected::all();
    info!(collector, "job {} took {:.2}s", 7u64, 1.5f32);
    let taken = collector.one();
    assert_eq!(taken.message(), "job 7 took 1.50s");
    assert_eq!(taken.level, Level::Info);
    assert!(taken.is_stored());
    assert_eq!(taken.payload.len(), 9 + 5);
}

#[test]
fn every_macro_has_its_level_and_log_takes_any() {
    let collector = Collected::all();
    trace!(collector, "t");
    debug!(collector, "d",);
    info!(collector, "i");
    warn!(collector, "w {}", 1);
    error!(&collector, "e {}", 1,);
    let level = [Level::Warn, Level::Debug][collector.take_all().len() % 2];
    log!(level, collector, "l {}", 2);
    assert_eq!((collector.one().level, level), (Level::Debug, Level::Debug));
    trace!(collector, "");
    debug!(collector, "");
    warn!(collector, "");
    error!(collector, "");
    let levels: Vec<_> = collector.take_all().iter().map(|taken| taken.level).collect();
    assert_eq!(levels, [Level::Trace, Level::Debug, Level::Warn, Level::Error]);
}

#[test]
fn arguments_are_evaluated_once_and_only_if_the_level_is_wanted() {
    let collector = Collected::from_level(Level::Info);
    let count = Cell::new(0);
    let next = || {
        count.set(count.get() + 1);
        count.get()
    };
    let w = 3;
    debug!(collector, "{} {:>w$}", next(), next(), key = next(), w = ?next());
    assert_eq!((count.get(), collector.take_all().len()), (0, 0));
    info!(collector, "{1} {0} {0:?}", next(), next(), key = next(), other = ?next());
    let (message, suffix, _) = collector.one().render();
    assert_eq!((message.as_str(), suffix.as_str(), count.get()), ("2 1 1", " key=3 other=4", 4));
    info!(collector, "{} {:>w$}", next(), next());
    assert_eq!((collector.one().message().as_str(), count.get()), ("5   6", 6));
}

#[test]
fn what_the_writer_cannot_render_is_formatted_at_the_call() {
    let collector = Collected::all();
    let (x, width, name) = (5, 8, "name");
    info!(collector, "{x} {name:?} {:>1$} {:.*} {x:#x}", 1, 4, 2.0, key = x);
    let taken = collector.one();
    assert_eq!(taken.render().0, format!("{x} {name:?} {:>1$} {:.*} {x:#x}", 1, 4, 2.0));
    assert!(taken.holds_message());
    info!(collector, "{:width$} {:x?} {}", 1, [10, 11], Point(3));
    assert_eq!(collector.one().message(), "       1 [a, b] <3>");
    info!(collector, "{:p}", &raw const x);
    assert_eq!(collector.one().message(), format!("{:p}", &raw const x));
}

#[test]
fn a_value_with_formatting_of_its_own_is_formatted_at_the_call_alone() {
    let collector = Collected::all();
    info!(collector, "{} {:?} {:#?} {:?} {:>6}", Point(1), (2, 'x'), Some(3), "a\nb", 4);
    let taken = collector.one();
    assert!(!taken.is_stored() && !taken.holds_message());
    assert_eq!(taken.message(), "<1> (2, 'x') Some(\n    3,\n) \"a\\nb\"      4");
}

#[test]
fn a_value_with_formatting_of_its_own_obeys_width_and_the_like() {
    let collector = Collected::all();
    info!(collector, "{:*^9}|{:4?}|{:#}", Point(1), Some(2), Point(3));
    let taken = collector.one();
    assert_eq!(taken.message(), format!("{:*^9}|{:4?}|{:#}", Point(1), Some(2), Point(3)));
    assert!(taken.holds_message());
    info!(collector, "{0} {0:?}", "x".parse::<u8>().unwrap_err());
    assert_eq!(collector.one().message(), "invalid digit found in string ParseIntError { kind: InvalidDigit }");
}

#[test]
fn references_and_pointers_to_what_can_be_stored_are_stored() {
    let collector = Collected::all();
    let (string, cow, mut number) = (String::from("s"), Cow::Borrowed("c"), 5u8);
    let (rc, arc, boxed) = (Rc::new(1), Arc::<str>::from("arc"), Box::new(true));
    info!(collector, "{} {} {} {} {} {} {} {}", string, &&string, cow, &mut number, rc, arc, boxed, &'c');
    let taken = collector.one();
    assert!(taken.is_stored());
    assert_eq!(taken.message(), "s s c 5 1 arc true c");
    info!(collector, "{}", string.clone() + "temporary");
    info!(collector, "{0} {0:>3}", -1);
    info!(collector, "{} {}", -i16::from(number) == 5, if number == 5 { 1.5 } else { 2.5 });
    let messages: Vec<_> = collector.take_all().iter().map(|taken| taken.message()).collect();
    assert_eq!(messages, ["stemporary", "-1  -1", "false 1.5"]);
}

#[test]
fn a_generic_value_is_known_by_its_trait_alone() {
    fn log_it(collector: &Collected, value: impl fmt::Display) {
        info!(collector, "{}", value, key = value);
    }
    let collector = Collected::all();
    log_it(&collector, 5);
    let taken = collector.one();
    assert!(!taken.is_stored());
    assert_eq!(taken.render(), ("5".into(), " key=5".into(), r#"{"key":"5"}"#.into()));
}

#[test]
fn templates_may_be_joined_and_hold_braces_and_anything() {
    let collector = Collected::all();
    info!(collector, concat!("{{", "{}", "}} é\0{}"), 1, 2);
    let taken = collector.one();
    assert_eq!(taken.message(), "{1} é\0".to_owned() + "2");
    assert!(!taken.holds_message());
}

#[test]
fn collectors_behind_pointers_and_in_expressions_are_taken() {
    struct Holder {
        collector: Rc<Collected>,
    }
    let holder = Holder { collector: Rc::new(Collected::all()) };
    let made = Cell::new(0);
    let make = || {
        made.set(made.get() + 1);
        holder.collector.clone()
    };
    info!(holder.collector, "a");
    info!(make(), "b");
    info!(&*holder.collector, "c");
    assert_eq!((holder.collector.take_all().len(), made.get()), (3, 1));
}

#[test]
fn a_site_has_one_number_and_is_found_by_it() {
    let collector = Collected::all();
    for round in 0..2 {
        info!(collector, "round {}", round, key = 1);
    }
    info!(collector, "another");
    let taken = collector.take_all();
    let numbers: Vec<_> = taken.iter().map(|taken| taken.site.number()).collect();
    assert!(numbers[0] > 0 && numbers[0] == numbers[1] && numbers[1] != numbers[2]);
    assert!(numbers.iter().zip(&taken).all(|(number, taken)| std::ptr::eq(Site::find(*number).unwrap(), taken.site)));
    assert!(Site::find(0).is_none() && Site::find(u32::MAX).is_none() && Site::after(u32::MAX).is_empty());
    let after = Site::after(numbers[0]);
    assert!(after.iter().any(|site| site.number() == numbers[2]) && after[0].number() == numbers[0] + 1);
    let info = taken[0].site.info();
    assert_eq!(
        (info.target.as_str(), info.template.as_str(), info.keys),
        (module_path!(), "round {}", vec!["key".into()])
    );
    assert!(info.file.ends_with("calls.rs") && info.line > 100);
}

#[test]
fn sites_used_first_by_many_threads_have_numbers_of_their_own() {
    fn log_twice<C: Takes>(collector: C) {
        info!(collector, "one");
        info!(collector, "two");
    }
    let log_both = || {
        let collector = Collected::all();
        log_twice(&collector);
        collector.take_all().iter().map(|taken| taken.site.number()).collect::<Vec<_>>()
    };
    let numbers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(log_both)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(numbers.iter().all(|both| *both == numbers[0] && both[0] != both[1]));
}

#[test]
fn a_display_that_logs_finds_its_record_in_its_place() {
    struct Logs<'a>(&'a Collected);
    impl fmt::Display for Logs<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            info!(self.0, "inner");
            f.write_str("outer")
        }
    }
    let collector = Collected::all();
    info!(collector, "{}", Logs(&collector));
    let messages: Vec<_> = collector.take_all().iter().map(|taken| taken.message()).collect();
    assert_eq!((messages.first().unwrap().as_str(), messages.last().unwrap().as_str()), ("inner", "outer"));
}

#[test]
fn early_returns_in_arguments_leave_before_anything_is_logged() {
    fn log_it(collector: &Collected, text: &str) -> Result<(), std::num::ParseIntError> {
        info!(collector, "{}", text.parse::<u8>()?);
        Ok(())
    }
    let collector = Collected::all();
    assert!(log_it(&collector, "x").is_err() && collector.take_all().is_empty());
    assert!(log_it(&collector, "5").is_ok());
    assert_eq!(collector.one().message(), "5");
}
