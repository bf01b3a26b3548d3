//! The places in a program that log.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};

use super::SiteInfo;

/// Every site that has logged, the one with number 1 first. Sites are statics: a program has only so many of them.
static SITES: RwLock<Vec<&'static Site>> = RwLock::new(Vec::new());

/// The most fields of one call.
pub(super) const KEYS_MAX: usize = 64;
/// The longest name of a field, in bytes.
pub(super) const KEY_BYTES_MAX: usize = 128;

/// Where a call stands in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path of its module.
    pub target: &'static str,
    /// Its file, as the compiler was told.
    pub file: &'static str,
    /// Its line, from 1.
    pub line: u32,
}

/// One call of a macro in the source: a static that the macro makes.
///
/// Its level is not part of it, because [`log!`](crate::log) takes any: a frame's head has it.
#[derive(Debug)]
pub struct Site {
    pub(super) source: Source,
    pub(super) template: &'static str,
    pub(super) keys: &'static [&'static str],
    /// 0 until the first use.
    number: AtomicU32,
}

impl Site {
    /// A site; of the template as `format!` takes it, and the names of the fields.
    ///
    /// # Panics
    /// In the compiler, where a static is made of it: if there are more than 64 fields, if a name stands twice, is
    /// empty, is longer than 128 bytes or has spaces, quotes, `=` or anything but printing ASCII.
    pub const fn new(source: Source, template: &'static str, keys: &'static [&'static str]) -> Site {
        assert!(keys.len() <= KEYS_MAX, "a call can have 64 fields at most");
        let mut at = 0;
        while at < keys.len() {
            assert!(
                is_key(keys[at].as_bytes()),
                "a field's name is 1 to 128 printing ASCII characters, without spaces, quotes and ="
            );
            assert!(!stands_before(keys, at), "a field's name stands twice");
            at += 1;
        }
        Site { source, template, keys, number: AtomicU32::new(0) }
    }

    /// The site's number in this process, from 1 in the order of first use.
    #[inline]
    pub fn number(&'static self) -> u32 {
        match self.number.load(Ordering::Relaxed) {
            0 => self.register(),
            number => number,
        }
    }

    #[cold]
    fn register(&'static self) -> u32 {
        let mut sites = SITES.write().unwrap_or_else(PoisonError::into_inner);
        if self.number.load(Ordering::Relaxed) == 0 {
            sites.push(self);
            self.number.store(sites.len() as u32, Ordering::Relaxed);
        }
        self.number.load(Ordering::Relaxed)
    }

    /// The site with this number in this process.
    pub fn find(number: u32) -> Option<&'static Site> {
        let sites = SITES.read().unwrap_or_else(PoisonError::into_inner);
        sites.get((number as usize).checked_sub(1)?).copied()
    }

    /// The sites whose numbers follow this one, in order: 0 gives all that have logged so far.
    pub fn after(number: u32) -> Vec<&'static Site> {
        let sites = SITES.read().unwrap_or_else(PoisonError::into_inner);
        sites.get(number as usize..).unwrap_or_default().to_vec()
    }

    /// What rendering needs to know of the site.
    pub fn info(&'static self) -> SiteInfo {
        SiteInfo::of(self)
    }

    /// Appends the site as bytes that [`SiteInfo::parse`] reads, at most [`SITE_BYTES_MAX`](super::SITE_BYTES_MAX).
    pub fn encode(&'static self, out: &mut Vec<u8>) {
        self.info().encode(out);
    }

    /// Where the call stands.
    pub fn source(&self) -> Source {
        self.source
    }
}

const fn is_key(key: &[u8]) -> bool {
    let mut at = 0;
    while at < key.len() {
        if !key[at].is_ascii_graphic() || matches!(key[at], b'"' | b'=') {
            return false;
        }
        at += 1;
    }
    !key.is_empty() && key.len() <= KEY_BYTES_MAX
}

const fn stands_before(keys: &[&str], at: usize) -> bool {
    let mut before = 0;
    while before < at {
        if is_same(keys[before].as_bytes(), keys[at].as_bytes()) {
            return true;
        }
        before += 1;
    }
    false
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// The name of a field as the macros have it, without the `r#` of `r#type`.
pub const fn key_name(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}
