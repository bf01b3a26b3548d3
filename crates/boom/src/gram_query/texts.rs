//! Which texts a regex's match must hold.
//!
//! A part of a regex that can only match a few texts is followed exactly, so that `(?i)timeout (after|of)` asks for two
//! whole texts; of any other part the texts it can start and end with are kept, so that what stands beside it can be
//! joined to them. Texts are folded as the filter is, and are cut at newlines, since a gram never spans one.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// The most texts a part is followed through, and the most bytes they have together.
const TEXTS_MAX: usize = 64;
const TEXT_BYTES_MAX: usize = 8_192;
/// The most members of a class that is followed member by member.
const CLASS_MAX: usize = 16;
/// How often a counted repetition is written out.
const REPEATS_MAX: u32 = 8;

/// What is known of every match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing.
    Nothing,
    /// All of these hold.
    All(Vec<Known>),
    /// At least one of these holds.
    One(Vec<Known>),
    /// At least one of these texts is in the line; they are folded.
    OneOf(Vec<Vec<u8>>),
}

/// A few texts. Sorted, each once.
type Texts = Vec<Vec<u8>>;

/// What a part of a regex matches.
enum Part {
    /// One of these texts and nothing else.
    Exact(Texts),
    /// A text that starts with one of `first`, ends with one of `last`, and holds what is `known`.
    Open { first: Texts, known: Known, last: Texts },
}

/// What every match of `hir` holds.
pub(super) fn of(hir: &Hir) -> Known {
    known(part(hir))
}

fn known(part: Part) -> Known {
    match part {
        Part::Exact(texts) => one_of(&texts),
        Part::Open { first, known, last } => and(one_of(&first), and(known, one_of(&last))),
    }
}

fn part(hir: &Hir) -> Part {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Part::Exact(nothing()),
        HirKind::Literal(literal) => exact(vec![literal.0.to_ascii_lowercase()]),
        HirKind::Class(class) => members(class).map_or_else(anything, exact),
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Capture(capture) => part(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(part).fold(Part::Exact(nothing()), join),
        HirKind::Alternation(parts) => either(parts.iter().map(part).collect()),
    }
}

/// The empty text alone.
fn nothing() -> Texts {
    vec![Vec::new()]
}

fn anything() -> Part {
    Part::Open { first: nothing(), known: Known::Nothing, last: nothing() }
}

fn exact(texts: Texts) -> Part {
    if few(&texts) { Part::Exact(texts) } else { open(texts) }
}

/// A part that matches one of `texts`, but is not followed any further than that.
fn open(texts: Texts) -> Part {
    Part::Open { first: nothing(), known: one_of(&texts), last: nothing() }
}

fn few(texts: &Texts) -> bool {
    texts.len() <= TEXTS_MAX && texts.iter().map(Vec::len).sum::<usize>() <= TEXT_BYTES_MAX
}

/// The members of a class as folded texts, if they are few.
fn members(class: &Class) -> Option<Texts> {
    let mut texts = Vec::new();
    match class {
        Class::Bytes(class) => {
            for range in class.ranges() {
                (texts.len() + range.len() <= CLASS_MAX).then_some(())?;
                texts.extend((range.start()..=range.end()).map(|byte| vec![byte.to_ascii_lowercase()]));
            }
        }
        Class::Unicode(class) => {
            for range in class.ranges() {
                (texts.len() + range.len() <= CLASS_MAX).then_some(())?;
                texts.extend(
                    (range.start()..=range.end()).map(|char| char.to_ascii_lowercase().to_string().into_bytes()),
                );
            }
        }
    }
    Some(set(texts))
}

fn set(mut texts: Texts) -> Texts {
    texts.sort_unstable();
    texts.dedup();
    texts
}

fn repeated(repetition: &Repetition) -> Part {
    let once = part(&repetition.sub);
    match (repetition.min, repetition.max, once) {
        (_, Some(0), _) => Part::Exact(nothing()),
        (0, Some(1), Part::Exact(texts)) => exact(set([texts, nothing()].concat())),
        (0, ..) => anything(),
        (min, max, Part::Exact(texts)) => repeated_exactly(texts, min, max),
        // The first and the last time may be different ones, but each is a match of its own.
        (_, _, open) => open,
    }
}

/// `texts` so many times; once more than is written out, or without an end, the middle is left open.
fn repeated_exactly(texts: Texts, min: u32, max: Option<u32>) -> Part {
    let times = min.min(REPEATS_MAX);
    let written = (1..times).fold(Part::Exact(texts.clone()), |so_far, _| join(so_far, Part::Exact(texts.clone())));
    match written {
        Part::Exact(texts) if max != Some(times) => {
            Part::Open { first: texts.clone(), known: Known::Nothing, last: texts }
        }
        written => written,
    }
}

/// `left` and then `right`.
fn join(left: Part, right: Part) -> Part {
    match (left, right) {
        (Part::Exact(left), Part::Exact(right)) => match product(&left, &right) {
            Some(texts) => Part::Exact(texts),
            None => Part::Open { first: left, known: Known::Nothing, last: right },
        },
        (Part::Exact(left), Part::Open { first, known, last }) => {
            let (first, more) = joined(left, first, Keep::Left);
            Part::Open { first, known: and(more, known), last }
        }
        (Part::Open { first, known, last }, Part::Exact(right)) => {
            let (last, more) = joined(last, right, Keep::Right);
            Part::Open { first, known: and(known, more), last }
        }
        (Part::Open { first, known, last }, Part::Open { first: next, known: more, last: end }) => {
            let middle =
                product(&last, &next).map_or_else(|| and(one_of(&last), one_of(&next)), |texts| one_of(&texts));
            Part::Open { first, known: and(known, and(middle, more)), last: end }
        }
    }
}

/// Which side of a join that became too large is still followed.
enum Keep {
    Left,
    Right,
}

/// Both after each other, and what is known besides where that is too much to follow.
fn joined(left: Texts, right: Texts, keep: Keep) -> (Texts, Known) {
    match (product(&left, &right), keep) {
        (Some(texts), _) => (texts, Known::Nothing),
        (None, Keep::Left) => (left, one_of(&right)),
        (None, Keep::Right) => (right, one_of(&left)),
    }
}

/// Every text of `left` followed by every one of `right`, if those are few.
fn product(left: &Texts, right: &Texts) -> Option<Texts> {
    (left.len() * right.len() <= TEXTS_MAX * 4).then_some(())?;
    let pairs = left.iter().flat_map(|head| right.iter().map(move |tail| [head.as_slice(), tail].concat()));
    Some(set(pairs.collect())).filter(few)
}

fn either(parts: Vec<Part>) -> Part {
    let mut texts = Vec::new();
    for part in &parts {
        match part {
            Part::Exact(more) => texts.extend_from_slice(more),
            Part::Open { .. } => return either_open(parts),
        }
    }
    exact(set(texts))
}

/// Alternatives of which some are open: each must hold what it must, and what they start and end with is let go.
fn either_open(parts: Vec<Part>) -> Part {
    let all: Vec<Known> = parts.into_iter().map(known).collect();
    let known = if all.contains(&Known::Nothing) || all.len() > TEXTS_MAX { Known::Nothing } else { Known::One(all) };
    Part::Open { first: nothing(), known, last: nothing() }
}

fn and(left: Known, right: Known) -> Known {
    match (left, right) {
        (Known::Nothing, known) | (known, Known::Nothing) => known,
        (Known::All(mut parts), Known::All(more)) => {
            parts.extend(more);
            Known::All(parts)
        }
        (Known::All(mut parts), known) | (known, Known::All(mut parts)) => {
            parts.push(known);
            Known::All(parts)
        }
        (left, right) => Known::All(vec![left, right]),
    }
}

/// One of these texts is there; nothing is known if one of them is too short to have a gram.
fn one_of(texts: &Texts) -> Known {
    if texts.is_empty() || texts.iter().any(|text| text.len() < 3) || !few(texts) {
        return Known::Nothing;
    }
    Known::OneOf(texts.clone())
}
