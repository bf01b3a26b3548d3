//! The law: each promise of [`Store`] as a function that fails where a store breaks it.
//!
//! A back end tests all of them with one line, `logboom_store::conformance!(|dir| Embedded::open(dir).unwrap());`; the
//! closure makes an empty store in an empty directory. Its crate needs `tempfile` for that. The rules know a store by its
//! trait alone, so what only a back end has (files, processes, faults) is tested by that back end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is test code that other crates run")]

pub mod filters;
pub mod histories;
pub mod order;
mod random;
mod sample;
pub mod waiting;
pub mod writing;

/// Makes a test of every rule, for the store that the closure makes in the directory it is given.
#[macro_export]
macro_rules! conformance {
    ($make:expr) => {
        $crate::conformance_rules! { $make;
            writing: retry_is_harmless, batch_is_stored_whole_or_not_at_all, hole_without_gap_is_refused,
                gap_fills_a_hole, gap_that_is_held_in_part_is_cut, open_gap_is_refused, too_large_is_refused, unknown_run_is_refused,
                ended_run_refuses_more, first_end_stays, run_starts_once, session_that_ended_takes_no_runs,
                every_byte_comes_back, runs_tell_how_they_stand, batch_may_mix_runs;
            order: pages_go_both_ways_and_meet, every_page_size_gives_the_same_lines, limits_count_lines,
                parts_of_a_line_come_together, run_order_survives_clock_steps, runs_are_merged_by_time,
                equal_times_are_ordered_by_run_and_seq, gap_stands_in_its_place, walk_does_not_see_what_comes_later,
                cursor_survives_growth, newest_first_goes_on_where_it_was, end_follows_what_the_page_saw,
                following_delivers_in_order_of_commit, foreign_cursor_is_refused, empty_scope_has_an_empty_page;
            filters: run_is_picked_by_id_and_name, stream_and_level_are_those_of_the_first_part, since_is_in_and_until_is_not,
                seq_range_is_of_the_first_part, gaps_pass_level_and_stream_but_no_text, text_is_looked_for_in_whole_lines,
                gap_ends_a_line, colours_do_not_hide_text, raw_text_sees_colours, case_counts_if_it_shall,
                expression_is_held_to_one_line, text_over_many_lines_is_refused, text_is_followed_by_whole_lines,
                sessions_are_apart;
            waiting: wait_returns_at_its_deadline, wait_wakes_for_a_lone_line, wait_sees_what_came_before_it,
                wait_for_one_run_sleeps_through_another, wait_tells_the_end, wait_wakes_for_a_run_that_starts_later;
            histories: random_histories_agree_with_the_model, random_histories_are_followed_like_the_model;
        }
    };
}

/// Writes out what [`conformance!`] lists.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_rules {
    ($make:expr; $($chapter:ident: $($rule:ident),+;)+) => {
        $(mod $chapter {
            use super::*;
            $(#[test]
            fn $rule() {
                let dir = tempfile::tempdir().unwrap();
                let make = $make;
                let store = make(dir.path());
                $crate::conformance::$chapter::$rule(&store);
            })+
        })+
    };
}
