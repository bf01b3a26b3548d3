//! The members of a child run as they stand in the file, side by side.
//!
//! serde can read nested types from members that are side by side, but puts every member aside first. A listing reads
//! ten thousand of these.

use std::collections::BTreeMap;

use logboom_record::{Kind, Run, RunEnd, RunId, TestResult, Time};
use serde::Deserialize;

use super::{ContainerMeta, Counts, RunMeta};

/// See [`Run`] and [`RunMeta`] for what they mean.
#[derive(Deserialize)]
pub(super) struct RunMembers {
    id: RunId,
    parent: Option<RunId>,
    kind: Kind,
    name: String,
    owner: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    started_at: Time,
    end: Option<RunEnd>,
    external_id: Option<String>,
    #[serde(default)]
    command: Vec<String>,
    cwd: Option<String>,
    text: Option<String>,
    boom: Option<String>,
    records: Option<u64>,
    #[serde(default)]
    lines: u64,
    #[serde(default)]
    errors: u64,
    #[serde(default)]
    warnings: u64,
    #[serde(default)]
    lost: u64,
    #[serde(default)]
    containers: Vec<ContainerMeta>,
    #[serde(default)]
    tests: Vec<TestResult>,
    #[serde(default)]
    masked: u64,
}

impl From<RunMembers> for RunMeta {
    fn from(members: RunMembers) -> RunMeta {
        let RunMembers { id, parent, kind, name, owner, labels, started_at, end, external_id, .. } = members;
        let RunMembers {
            command,
            cwd,
            text,
            boom,
            records,
            lines,
            errors,
            warnings,
            lost,
            containers,
            tests,
            masked,
            ..
        } = members;
        let run = Run { id, parent, kind, name, owner, labels, started_at, end, external_id };
        let counts = records.map(|records| Counts { records, lines, errors, warnings, lost });
        RunMeta { run, command, cwd, text, boom, counts, containers, tests, masked }
    }
}
