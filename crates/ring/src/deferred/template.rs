//! Templates as `format!` has them, as far as the writer can render them.
//!
//! The same walk runs in the compiler, to tell which call sites can be deferred, and in the writer. It is strict: what
//! it does not know for sure is [`Step::Unknown`], the message is then formatted at the call, and nobody can tell. That
//! a template is right and its arguments fit it is `format_args!`'s affair, which sees every one of them too.

/// The longest template that is deferred, in bytes.
pub(super) const TEMPLATE_BYTES_MAX: usize = 4096;
/// The most arguments of a template that is deferred.
pub(super) const ARGS_MAX: usize = 64;

/// What a placeholder shows of its argument: the trait's name in `std::fmt`, in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Display,
    Debug,
    LowerHex,
    UpperHex,
    Octal,
    Binary,
    LowerExp,
    UpperExp,
}

/// Which side of the room the text stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Center,
    Right,
}

/// What stands behind the colon of a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) fill: char,
    pub(super) align: Option<Align>,
    pub(super) plus: bool,
    pub(super) alternate: bool,
    pub(super) zero: bool,
    /// In characters; 0 is none, which means the same.
    pub(super) width: u16,
    pub(super) precision: Option<u16>,
    pub(super) shape: Shape,
}

impl Spec {
    pub(super) const PLAIN: Spec = Spec {
        fill: ' ',
        align: None,
        plus: false,
        alternate: false,
        zero: false,
        width: 0,
        precision: None,
        shape: Shape::Display,
    };

    /// Whether nothing but the trait is asked for, and perhaps `#`.
    pub(super) const fn is_bare(&self) -> bool {
        self.fill == ' '
            && self.align.is_none()
            && !self.plus
            && !self.zero
            && self.width == 0
            && self.precision.is_none()
    }
}

/// One part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The bytes of the template from one place up to another, as they are.
    Text { from: usize, to: usize },
    /// A placeholder for the argument with this index.
    Place { arg: usize, spec: Spec },
}

/// Where the walk over a template has come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    /// The argument that the next `{}` without a position takes.
    next_arg: usize,
}

/// What the walk met.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    End,
    Unknown,
    Piece(Piece),
}

impl<'a> Walk<'a> {
    pub(super) const fn over(template: &'a str) -> Walk<'a> {
        Walk { text: template.as_bytes(), at: 0, next_arg: 0 }
    }

    /// The next part. After [`Step::Unknown`] the walk is over.
    pub(super) const fn step(&mut self) -> Step {
        if self.text.len() > TEMPLATE_BYTES_MAX {
            return Step::Unknown;
        }
        match (self.peek(0), self.peek(1)) {
            (0, _) if self.at >= self.text.len() => Step::End,
            (b'{', b'{') | (b'}', b'}') => {
                self.at += 2;
                Step::Piece(Piece::Text { from: self.at - 1, to: self.at })
            }
            (b'{', _) => self.place(),
            (b'}', _) => Step::Unknown,
            _ => self.plain_text(),
        }
    }

    const fn plain_text(&mut self) -> Step {
        let from = self.at;
        while self.at < self.text.len() && !matches!(self.peek(0), b'{' | b'}') {
            self.at += 1;
        }
        Step::Piece(Piece::Text { from, to: self.at })
    }

    /// A placeholder, from its `{` to its `}`.
    const fn place(&mut self) -> Step {
        self.at += 1;
        let arg = match (self.peek(0).is_ascii_digit(), self.number()) {
            (true, Some(arg)) => arg as usize,
            (true, None) => return Step::Unknown,
            (false, _) => {
                self.next_arg += 1;
                self.next_arg - 1
            }
        };
        let spec = if self.eat(b':') { self.spec() } else { Some(Spec::PLAIN) };
        match spec {
            Some(spec) if self.eat(b'}') && arg < ARGS_MAX => Step::Piece(Piece::Place { arg, spec }),
            _ => Step::Unknown,
        }
    }

    /// `[[fill]align][+][#][0][width][.precision][type]`. An argument as width or precision is not known here.
    const fn spec(&mut self) -> Option<Spec> {
        let mut spec = Spec::PLAIN;
        self.fill_and_align(&mut spec);
        spec.plus = self.eat(b'+');
        spec.alternate = self.eat(b'#');
        spec.zero = self.eat(b'0');
        if self.peek(0).is_ascii_digit() {
            let Some(width) = self.number() else { return None };
            spec.width = width;
        }
        if self.eat(b'.') {
            let Some(precision) = self.number() else { return None };
            spec.precision = Some(precision);
        }
        spec.shape = self.shape();
        Some(spec)
    }

    /// A fill may be any character, and is one only where `<`, `^` or `>` follows.
    const fn fill_and_align(&mut self, spec: &mut Spec) {
        let (fill, bytes) = self.char();
        if let Some(align) = align(self.peek(bytes)) {
            (spec.fill, spec.align) = (fill, Some(align));
            self.at += bytes + 1;
        } else if let Some(align) = align(self.peek(0)) {
            spec.align = Some(align);
            self.at += 1;
        }
    }

    const fn shape(&mut self) -> Shape {
        let shape = match self.peek(0) {
            b'?' => Shape::Debug,
            b'x' => Shape::LowerHex,
            b'X' => Shape::UpperHex,
            b'o' => Shape::Octal,
            b'b' => Shape::Binary,
            b'e' => Shape::LowerExp,
            b'E' => Shape::UpperExp,
            _ => return Shape::Display,
        };
        self.at += 1;
        shape
    }

    /// Decimal digits, one at least, up to what a width may be.
    const fn number(&mut self) -> Option<u16> {
        let (from, mut value) = (self.at, 0u32);
        while self.peek(0).is_ascii_digit() {
            value = value * 10 + (self.peek(0) - b'0') as u32;
            if value > u16::MAX as u32 {
                return None;
            }
            self.at += 1;
        }
        if self.at == from { None } else { Some(value as u16) }
    }

    /// The character here and how many bytes it has. The template is UTF-8, so that only its end needs care.
    const fn char(&self) -> (char, usize) {
        let head = self.peek(0);
        let (bytes, mut code) = match head {
            0..0x80 => return (head as char, 1),
            0x80..0xE0 => (2, (head & 0x1F) as u32),
            0xE0..0xF0 => (3, (head & 0x0F) as u32),
            _ => (4, (head & 0x07) as u32),
        };
        let mut at = 1;
        while at < bytes {
            code = code << 6 | (self.peek(at) & 0x3F) as u32;
            at += 1;
        }
        match char::from_u32(code) {
            Some(char) => (char, bytes),
            None => (char::REPLACEMENT_CHARACTER, bytes),
        }
    }

    /// The byte that far ahead, 0 behind the end.
    const fn peek(&self, ahead: usize) -> u8 {
        if self.at + ahead < self.text.len() { self.text[self.at + ahead] } else { 0 }
    }

    const fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek(0) == byte;
        self.at += there as usize;
        there
    }
}

const fn align(byte: u8) -> Option<Align> {
    match byte {
        b'<' => Some(Align::Left),
        b'^' => Some(Align::Center),
        b'>' => Some(Align::Right),
        _ => None,
    }
}

/// Whether the writer can render this template from its arguments.
pub const fn deferrable(template: &str) -> bool {
    let mut walk = Walk::over(template);
    loop {
        match walk.step() {
            Step::End => return true,
            Step::Unknown => return false,
            Step::Piece(_) => {}
        }
    }
}

/// How a template shows one argument, for arguments that cannot be stored: in more ways than one, or with a width and
/// the like, which the argument itself would have to obey.
pub const USE_OTHER: u8 = 0;
/// Always as `{}`.
pub const USE_DISPLAY: u8 = 1;
/// Always as `{:?}`.
pub const USE_DEBUG: u8 = 2;
/// Always as `{:#?}`.
pub const USE_PRETTY: u8 = 3;

/// How this template shows the argument with this index.
pub const fn use_of(template: &str, index: usize) -> u8 {
    let (mut walk, mut found) = (Walk::over(template), None);
    loop {
        let (arg, spec) = match walk.step() {
            Step::Piece(Piece::Place { arg, spec }) => (arg, spec),
            Step::Piece(Piece::Text { .. }) => continue,
            Step::End | Step::Unknown => break,
        };
        if arg == index {
            found = match (found, use_by(&spec)) {
                (Some(before), now) if before != now => Some(USE_OTHER),
                (_, now) => Some(now),
            };
        }
    }
    match found {
        Some(found) => found,
        None => USE_OTHER,
    }
}

const fn use_by(spec: &Spec) -> u8 {
    match (spec.is_bare(), spec.shape, spec.alternate) {
        (true, Shape::Display, false) => USE_DISPLAY,
        (true, Shape::Debug, false) => USE_DEBUG,
        (true, Shape::Debug, true) => USE_PRETTY,
        _ => USE_OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_for_sure_is_deferred() {
        let known =
            ["", "x", "{}", "{{}}", "{0}{0:?}", "{:>5}", "{:é^+#05.3e}", "{:<<3}", "{:08.2}", "{:#x}", "a{{b}}c{:b}"];
        known.iter().for_each(|template| assert!(deferrable(template), "{template}"));
        let unknown = [
            "{x}", "{:1$}", "{:0$}", "{:.*}", "{:w$}", "{:.p$}", "{:p}", "{:x?}", "{", "}", "{0", "{ }", "{:-}",
            "{:.}", "{:99999}", "{64}", "{:é", "{:", "{:5", "{:>", "{x:?}", "{0:}}", "a}b", "{r#x}", "{:?x}",
        ];
        unknown.iter().for_each(|template| assert!(!deferrable(template), "{template}"));
        assert!(!deferrable(&"x".repeat(TEMPLATE_BYTES_MAX + 1)));
    }

    #[test]
    fn the_use_of_an_argument_is_told_from_all_its_placeholders() {
        let uses = |template| [0, 1, 2].map(|arg| use_of(template, arg));
        assert_eq!(uses("{} {:?} {:#?}"), [USE_DISPLAY, USE_DEBUG, USE_PRETTY]);
        assert_eq!(uses("{1} {0:?} {1:>3}"), [USE_DEBUG, USE_OTHER, USE_OTHER]);
        assert_eq!(uses("{0} {} {1:x}"), [USE_DISPLAY, USE_OTHER, USE_OTHER]);
    }
}
