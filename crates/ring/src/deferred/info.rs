//! What rendering needs to know of a call site, in the process that logged and in any that comes after it.

use std::ops::Range;

use super::fields::FieldsWriter;
use super::show::{show, show_plain};
use super::site::{KEY_BYTES_MAX, KEYS_MAX, Site};
use super::template::{Piece, Spec, Step, TEMPLATE_BYTES_MAX, Walk};
use super::value::{MESSAGE, Value};

const HEAD_BYTES: usize = 14;
const TARGET_BYTES_MAX: usize = 1024;
const FILE_BYTES_MAX: usize = 4096;

/// The most bytes of an encoded site; a longer target, file or template is cut.
pub const SITE_BYTES_MAX: usize =
    HEAD_BYTES + 6 + TARGET_BYTES_MAX + FILE_BYTES_MAX + TEMPLATE_BYTES_MAX + KEYS_MAX * (2 + KEY_BYTES_MAX);

const SHORT_BYTES: usize = 16;

/// Where a message whose template repeats long arguments is cut, in bytes; the cut is marked.
const REPEATED_BYTES_MAX: usize = 64 << 20;
const CUT: &str = " [cut: the message is longer than 64 MiB]";

/// A call site, ready to render what was logged at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteInfo {
    /// The site's number in its process, from 1.
    pub number: u32,
    /// The path of the call's module.
    pub target: String,
    /// The call's file, as the compiler was told.
    pub file: String,
    /// The call's line, from 1.
    pub line: u32,
    /// The template.
    pub template: String,
    /// The names of the fields.
    pub keys: Vec<String>,
    plan: Option<Plan>,
}

/// A template that was walked over once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    parts: Vec<Part>,
    /// How many arguments there are.
    args: usize,
    /// Whether each argument is shown once, and all in their order.
    in_order: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Range<usize>),
    /// As above, of at most [`SHORT_BYTES`]: a copy of a fixed size costs a third of one that must look at the size
    /// first.
    Short([u8; SHORT_BYTES], usize),
    Plain(usize),
    Spec(usize, Spec),
}

/// A payload does not belong to its site: one of them is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the arguments of a record do not fit its call at {file}:{line}: the file is damaged there, and the record cannot be read"
)]
pub struct RenderError {
    /// The call's file.
    pub file: String,
    /// The call's line, from 1.
    pub line: u32,
}

impl SiteInfo {
    /// What is to know of a site of this process.
    pub(super) fn of(site: &'static Site) -> SiteInfo {
        let source = site.source;
        let template = cut(site.template, TEMPLATE_BYTES_MAX).to_owned();
        SiteInfo {
            number: site.number(),
            target: cut(source.target, TARGET_BYTES_MAX).to_owned(),
            file: cut(source.file, FILE_BYTES_MAX).to_owned(),
            line: source.line,
            keys: site.keys.iter().map(|key| (*key).to_owned()).collect(),
            plan: Plan::of(&template),
            template,
        }
    }

    /// Appends the site as bytes, at most [`SITE_BYTES_MAX`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.line.to_le_bytes());
        out.extend_from_slice(&(self.keys.len() as u16).to_le_bytes());
        let texts = [&self.target, &self.file, &self.template];
        for text in texts.into_iter().chain(&self.keys) {
            out.extend_from_slice(&(text.len() as u16).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        let bytes = (out.len() - from) as u32;
        out[from..from + 4].copy_from_slice(&bytes.to_le_bytes());
    }

    /// Reads the site at the start of these bytes, and how many bytes it has; `None` if there is none, or a part of
    /// one. The bytes may be anything.
    pub fn parse(bytes: &[u8]) -> Option<(SiteInfo, usize)> {
        let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let mut rest = bytes.get(4..len)?;
        let number = u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?);
        let line = u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?);
        let keys = u16::from_le_bytes(*rest.split_off(..2)?.first_chunk()?);
        let target = take_text(&mut rest, TARGET_BYTES_MAX)?;
        let file = take_text(&mut rest, FILE_BYTES_MAX)?;
        let template = take_text(&mut rest, TEMPLATE_BYTES_MAX)?;
        (number > 0 && usize::from(keys) <= KEYS_MAX).then_some(())?;
        let keys: Vec<_> = (0..keys).map(|_| take_text(&mut rest, KEY_BYTES_MAX)).collect::<Option<_>>()?;
        let plan = Plan::of(&template);
        rest.is_empty().then_some((SiteInfo { number, target, file, line, template, keys, plan }, len))
    }

    /// Appends the message of a payload to `out` and adds its fields to `fields`.
    ///
    /// The message is what `format!` would have made of the same arguments, without the fields; only where a template
    /// repeats arguments until the message has over 64 MiB, it is cut, and says so.
    ///
    /// # Errors
    /// If the payload does not fit the site, which is damage; then nothing was appended. The payload may be anything.
    pub fn render(&self, payload: &[u8], out: &mut Vec<u8>, fields: &mut FieldsWriter) -> Result<(), RenderError> {
        let (from, mark) = (out.len(), fields.mark());
        self.try_render(payload, out, fields).ok_or_else(|| {
            out.truncate(from);
            fields.back_to(mark);
            RenderError { file: self.file.clone(), line: self.line }
        })
    }

    fn try_render(&self, mut payload: &[u8], out: &mut Vec<u8>, fields: &mut FieldsWriter) -> Option<()> {
        self.render_message(&mut payload, out)?;
        for key in &self.keys {
            fields.push(key, Value::take(&mut payload)?)?;
        }
        payload.is_empty().then_some(())
    }

    fn render_message(&self, payload: &mut &[u8], out: &mut Vec<u8>) -> Option<()> {
        if payload.first() == Some(&MESSAGE) {
            let Value::Message(message) = Value::take(payload)? else { return None };
            out.extend_from_slice(message);
            return Some(());
        }
        let plan = self.plan.as_ref()?;
        if plan.in_order {
            return plan.parts.iter().try_for_each(|part| self.render_next(part, payload, out));
        }
        let args = (0..plan.args).map(|_| Value::take(payload)).collect::<Option<Vec<_>>>()?;
        let from = out.len();
        for part in &plan.parts {
            if out.len() - from > REPEATED_BYTES_MAX {
                out.truncate(from + REPEATED_BYTES_MAX);
                out.extend_from_slice(CUT.as_bytes());
                break;
            }
            self.render_part(part, |arg| args.get(arg).copied(), out)?;
        }
        Some(())
    }

    /// A part whose argument, if it has one, is the first of the payload.
    #[inline(always)]
    fn render_next(&self, part: &Part, payload: &mut &[u8], out: &mut Vec<u8>) -> Option<()> {
        match part {
            Part::Plain(_) => Value::take_to(payload, |value| show_plain(value, out)),
            part => self.render_part(part, |_| Value::take(payload), out),
        }
    }

    #[inline]
    fn render_part<'a>(
        &self,
        part: &Part,
        arg: impl FnOnce(usize) -> Option<Value<'a>>,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        match part {
            Part::Text(range) => {
                out.extend_from_slice(&self.template.as_bytes()[range.clone()]);
                Some(())
            }
            Part::Short(bytes, len) => {
                let end = out.len() + len;
                out.extend_from_slice(bytes);
                out.truncate(end);
                Some(())
            }
            Part::Plain(index) => show_plain(arg(*index)?, out),
            Part::Spec(index, spec) => show(arg(*index)?, spec, out),
        }
    }
}

impl Plan {
    /// `None` if the template cannot be deferred.
    fn of(template: &str) -> Option<Plan> {
        let (mut walk, mut plan) = (Walk::over(template), Plan { parts: Vec::new(), args: 0, in_order: true });
        loop {
            match walk.step() {
                Step::End => break,
                Step::Unknown => return None,
                Step::Piece(Piece::Text { from, to }) => plan.parts.push(Part::text(template, from..to)),
                Step::Piece(Piece::Place { arg, spec }) => plan.add_place(arg, spec),
            }
        }
        Some(plan)
    }

    fn add_place(&mut self, arg: usize, spec: Spec) {
        self.in_order &= arg == self.args;
        self.args = self.args.max(arg + 1);
        self.parts.push(if spec == Spec::PLAIN { Part::Plain(arg) } else { Part::Spec(arg, spec) });
    }
}

impl Part {
    fn text(template: &str, range: Range<usize>) -> Part {
        let text = &template.as_bytes()[range.clone()];
        let mut bytes = [0; SHORT_BYTES];
        match bytes.get_mut(..text.len()) {
            Some(short) => {
                short.copy_from_slice(text);
                Part::Short(bytes, text.len())
            }
            None => Part::Text(range),
        }
    }
}

fn take_text(bytes: &mut &[u8], bytes_max: usize) -> Option<String> {
    let len = u16::from_le_bytes(*bytes.split_off(..2)?.first_chunk()?);
    let text = bytes.split_off(..usize::from(len))?;
    String::from_utf8(text.to_vec()).ok().filter(|text| text.len() <= bytes_max)
}

/// The text up to a number of bytes, at the end of a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
