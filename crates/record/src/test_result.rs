//! How a test ended.

use serde::{Deserialize, Serialize};

use crate::Time;

/// How a test of a test tool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// It did what it should, at last.
    Passed,
    /// It did not, or could not be run.
    Failed,
    /// It was not run, or its failure was expected.
    Skipped,
    /// Its tool ended it because its time was up.
    TimedOut,
}

impl TestOutcome {
    /// Whether somebody has to look at it.
    pub fn is_bad(self) -> bool {
        matches!(self, TestOutcome::Failed | TestOutcome::TimedOut)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            TestOutcome::Passed => "passed",
            TestOutcome::Failed => "failed",
            TestOutcome::Skipped => "skipped",
            TestOutcome::TimedOut => "timed_out",
        }
    }
}

/// What a test tool told of one test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// What it belongs to, as its tool calls that: a test binary, a package, a file. Empty where the tool does not tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suite: String,
    /// Its name within that.
    pub test: String,
    /// How it ended.
    pub outcome: TestOutcome,
    /// How long it took, in microseconds, where the tool told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// When its tool told.
    pub time: Time,
    /// How often it was run again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// The first record of its output, or of what tells its result.
    pub from: u64,
    /// The last one.
    pub to: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl TestResult {
    /// Its name with that of its suite, as nextest writes it: `suite test`.
    pub fn full_name(&self) -> String {
        match self.suite.as_str() {
            "" => self.test.clone(),
            suite => format!("{suite} {}", self.test),
        }
    }
}
