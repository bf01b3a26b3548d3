//! `logboom export`: a session as one file.

use std::{
    io::{IsTerminal, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use logboom_files::{
    Session,
    bundle::{self, Contents},
    session::Status,
};
use logboom_record::Time;
use logboom_store::Scope;

use crate::{
    args::{Global, Which},
    exit::Exit,
    html::{self, LINES_MAX},
    human,
    output::{Look, Out},
    place,
    reading::open_store,
    say::{say, tell},
    visible, whole_file,
};

/// Write a session into one file
///
/// A bundle is for logboom: `logboom import` gets the session back, byte for byte. It is a tar compressed with zstd, so that `tar --zstd -xf`
/// opens it, too. A page of HTML is for a person with a browser, and needs nothing else. The file is there once it is whole.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("as").required(true).args(["bundle", "html"]))]
pub struct Export {
    #[command(flatten)]
    which: Which,
    /// Write a bundle; in a directory as <session id>.tar.zst, to standard output with -
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Write a page of HTML; in a directory as <session id>.html, to standard output with -
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// With --html: at most so many lines, the first and the last ones
    #[arg(long, value_name = "COUNT", default_value_t = LINES_MAX, conflicts_with = "bundle")]
    lines: u64,
    /// Print one JSON object: {"id", "file", ..}
    #[arg(long)]
    json: bool,
}

/// What was written, for the last word.
struct Written {
    file: Option<PathBuf>,
    what: String,
    counts: serde_json::Value,
}

impl Export {
    /// Exits 0 when the file is there.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let data = place::data_dir(global)?;
        let status = place::find(&data, &self.which, now)?;
        let written = match (&self.bundle, &self.html) {
            (Some(file), _) => export_bundle(&status, file, now)?,
            (_, Some(file)) => {
                let store = open_store(&data, Some(&status))?;
                let page =
                    html::Page { status: &status, store: &store, scope: Scope::Session(status.meta.run.id), now };
                self.export_html(&page, file)?
            }
            _ => bail!("give --bundle FILE or --html FILE"),
        };
        self.tell(&status, &written, Look::of_stdout(global.color))
    }

    fn export_html(&self, page: &html::Page<'_>, file: &Path) -> Result<Written> {
        let name = format!("{}.html", page.status.id);
        let (file, shown) = whole_file::write(file, &name, |out| page.write(self.lines, out))?;
        if shown.left_out > 0 {
            let (left_out, lines) = (human::count(shown.left_out), human::count(shown.lines + shown.left_out));
            say(format_args!("{left_out} of {lines} lines are not in the page; --lines COUNT takes more"));
        }
        let counts = serde_json::json!({"lines": shown.lines, "left_out": shown.left_out});
        Ok(Written { file, what: human::counted(shown.lines, "line"), counts })
    }

    /// Says what there is now, unless standard output is what was written.
    fn tell(&self, status: &Status, written: &Written, look: Look) -> Result<Exit> {
        let Some(file) = &written.file else { return Ok(Exit::Done) };
        let text = if self.json {
            let mut object = serde_json::json!({"id": status.id, "file": file});
            if let (Some(object), Some(counts)) = (object.as_object_mut(), written.counts.as_object()) {
                object.extend(counts.clone());
            }
            format!("{object}\n")
        } else {
            let name = visible::plain(&file.display().to_string());
            format!("{}  {} in {name}\n", look.paint("1", status.id.short()), written.what)
        };
        Out::stdout().put(text.as_bytes())?;
        Ok(Exit::Done)
    }
}

fn export_bundle(status: &Status, file: &Path, now: Time) -> Result<Written> {
    if whole_file::is_stdout(file) && stdout().is_terminal() {
        bail!("a bundle is nothing for a terminal; give --bundle FILE, or send it somewhere");
    }
    let session = Session::open(&status.dir)?;
    let name = format!("{}.tar.zst", status.id);
    let (file, contents) = whole_file::write(file, &name, |out| Ok(bundle::export(&session, now, out)?))?;
    for name in &contents.left_out {
        tell(&format!(
            "{name:?} is not in the bundle: it is no regular file, or has a name that no file of logboom has"
        ));
    }
    let Contents { files, bytes, .. } = contents;
    let what = format!("{}, {} bytes", human::counted(files, "file"), human::count(bytes));
    Ok(Written { file, what, counts: serde_json::json!({"files": files, "bytes": bytes}) })
}
