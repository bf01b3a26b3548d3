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

/// So many bytes are kept of what a tool says of a failure.
pub const TEST_MESSAGE_BYTES_MAX: usize = 2 << 10;

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
    /// The first record of its output, or of what tells its result; 0 where that is not known: only a file told of the test.
    pub from: u64,
    /// The last one; 0 as above.
    pub to: u64,
    /// What its tool says of its failure, in a file: at most [`TEST_MESSAGE_BYTES_MAX`]. Of a test that passed when it was run again: of
    /// its first failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl TestResult {
    /// Whether it is known which records are its output.
    pub fn has_output(&self) -> bool {
        self.from > 0
    }

    /// Whether it failed and then passed, in one go.
    pub fn passed_on_retry(&self) -> bool {
        self.outcome == TestOutcome::Passed && self.retries > 0
    }

    /// Its name with that of its suite, as nextest writes it: `suite test`.
    pub fn full_name(&self) -> String {
        match self.suite.as_str() {
            "" => self.test.clone(),
            suite => format!("{suite} {}", self.test),
        }
    }
}
