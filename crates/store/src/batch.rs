//! What every store checks of a batch before it takes anything of it.

use logboom_record::{Entry, FIELDS_BYTES_MAX, Gap, RECORD_BYTES_MAX};

use crate::StoreError;

/// Refuses a record that is larger than any may be.
///
/// # Errors
/// [`StoreError::TooLarge`].
pub fn refuse_large(entry: &Entry) -> Result<(), StoreError> {
    let Entry::Record(record) = entry else { return Ok(()) };
    let fields = record.fields.as_deref().unwrap_or_default();
    let fits = record.message.len() <= RECORD_BYTES_MAX && fields.len() <= FIELDS_BYTES_MAX && !fields.contains('\n');
    if fits { Ok(()) } else { Err(StoreError::TooLarge { run: record.run, seq: record.seq }) }
}

/// What of an entry is new to a run that goes on with seq `next`, and the seq after it; `None` if all of it is held.
///
/// # Errors
/// [`StoreError::OpenGap`], [`StoreError::Hole`].
pub fn what_is_new(entry: &Entry, next: u64) -> Result<Option<(Entry, u64)>, StoreError> {
    let after = next_seq(entry);
    match entry {
        Entry::Gap(gap) if gap.to.is_none() => Err(StoreError::OpenGap { run: gap.run }),
        _ if entry.seq() > next => Err(StoreError::Hole { run: entry.run(), expected: next, found: entry.seq() }),
        _ if after <= next => Ok(None),
        Entry::Gap(gap) => Ok(Some((Entry::Gap(Gap { from: next, ..gap.clone() }), after))),
        Entry::Record(_) => Ok(Some((entry.clone(), after))),
    }
}

/// The seq after an entry; every entry that is held has one.
pub(crate) fn next_seq(entry: &Entry) -> u64 {
    match entry {
        Entry::Record(record) => record.seq.saturating_add(1),
        Entry::Gap(gap) => gap.to.unwrap_or(gap.from).saturating_add(1),
    }
}
