//! A service that is written: its text log, its tracks, and what it came to.

use logboom_boom as boom;
use logboom_files::session::Counts;

use crate::{
    services::{
        checkpoint::{ServicePlace, TextPlace},
        errors::Pace,
        feed::{Place, Reached},
        track::Track,
    },
    writer::RunText,
};

/// See the module.
pub(super) struct Service {
    pub(super) slot: boom::RunSlot,
    pub(super) text: RunText,
    /// What was written of it before.
    pub(super) before: Counts,
    /// The seq that its next record had then in the boom file, and how many of them were lost.
    pub(super) began: (u64, u64),
    pub(super) place: ServicePlace,
    pub(super) tracks: [Track; 2],
    /// Nothing before this place of its source is still to come.
    pub(super) passed: Place,
    pub(super) is_dirty: bool,
    pub(super) is_unsynced: bool,
    pub(super) errors: Pace,
    /// How much fitted a pattern of what is secret.
    pub(super) masked: u64,
}

impl Service {
    /// What it came to so far.
    pub(super) fn counts(&self, boom: &boom::Writer) -> Counts {
        let (first_seq, lost_before) = self.began;
        let lost = boom.lost_of(self.slot) - lost_before;
        let records = (self.text.next_seq() - first_seq).saturating_sub(lost);
        [self.before, Counts { records, lost, ..self.text.counts }].into_iter().sum()
    }

    /// Notes how far the records go.
    pub(super) fn set_place(&mut self) {
        self.place.text = self.text.written().map(|(bytes, behind)| TextPlace { bytes, behind });
        if let Some(source) = &mut self.place.source {
            let [stdout, stderr] = self.tracks.each_ref().map(|track| track.place(self.passed));
            source.reached = Reached { stdout, stderr };
            let from = source.reached.from().part;
            source.files.retain(|(part, _)| *part >= from);
        }
    }

    /// Nothing before this place is still to come. It never goes back, though a source may.
    #[inline]
    pub(super) fn pass(&mut self, place: Place) {
        self.passed = self.passed.max(place);
    }
}
