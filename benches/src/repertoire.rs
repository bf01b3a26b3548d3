//! All phrases, parsed once.

use crate::phrase::Phrase;
use crate::phrases::{FIELDS, JOB_ENDS, JOB_STARTS, SYSTEM, TASK_STARTS, WORKS, Work};

/// What is said in the whole world of the generator.
pub(crate) struct Repertoire {
    pub(crate) works: Vec<Voice>,
    pub(crate) job_starts: Phrase,
    pub(crate) task_starts: Phrase,
    pub(crate) job_ends: Phrase,
    pub(crate) system: Vec<Phrase>,
    pub(crate) fields: Vec<Phrase>,
}

/// What is said in one kind of work.
pub(crate) struct Voice {
    pub(crate) debug: Vec<Phrase>,
    pub(crate) info: Vec<Phrase>,
    pub(crate) warn: Vec<Phrase>,
    pub(crate) error: Vec<Phrase>,
    pub(crate) trace: Phrase,
}

impl Repertoire {
    pub(crate) fn new() -> Self {
        Self {
            works: WORKS.iter().map(|work| Voice::new(work)).collect(),
            job_starts: Phrase::new(JOB_STARTS),
            task_starts: Phrase::new(TASK_STARTS),
            job_ends: Phrase::new(JOB_ENDS),
            system: parsed(SYSTEM),
            fields: parsed(FIELDS),
        }
    }
}

impl Voice {
    fn new(work: &Work) -> Self {
        Self {
            debug: parsed(&[work.debug]),
            info: parsed(work.info),
            warn: parsed(&[work.warn]),
            error: parsed(work.error),
            trace: Phrase::new(work.trace),
        }
    }
}

fn parsed(texts: &[&'static str]) -> Vec<Phrase> {
    texts.iter().map(|text| Phrase::new(text)).collect()
}
