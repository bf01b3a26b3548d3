//! How the files of a run end.

use logboom_boom as boom;
use logboom_files::{
    textlog::{Syncer, TextWriter},
    with_causes,
};
use logboom_record::{Gap, RunEnd};

/// What became of one of the files.
#[derive(Default)]
pub(super) struct End {
    pub(super) lost: u64,
    pub(super) gaps: Vec<Gap>,
    pub(super) trouble: Option<String>,
}

/// Ends the text log.
pub(super) fn finish_text(mut text: TextWriter, sync: Syncer) -> End {
    let finished = sync.settle(&mut text).and(text.finish());
    let trouble = finished.err().map(|error| with_causes(&error));
    End { lost: text.lost(), gaps: text.gaps().cloned().collect(), trouble }
}

/// Seals the boom file.
pub(super) fn finish_boom(mut boom: boom::Writer, run: boom::RunSlot, end: &RunEnd) -> End {
    boom.end_run(run, end);
    let (lost, path) = (boom.lost(), boom.path().to_owned());
    let (lost, trouble) = match boom.seal() {
        Ok(sealed) => {
            (sealed.totals.lost, sealed.failing.map(|why| format!("cannot write all of {}: {why}", path.display())))
        }
        Err(error) => (lost, Some(with_causes(&error))),
    };
    let reader = Some(path).filter(|_| lost > 0).and_then(|path| boom::reader::Reader::open(&path).ok());
    End { lost, gaps: reader.map(|reader| reader.gaps()).unwrap_or_default(), trouble }
}
