//! Masks that grow while they are used: whoever keeps something of a session looks at the same ones, and what one run tells of a
//! secret holds for all that comes later.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{MaskError, Masks};

/// So many bytes of values may be added: each makes what looks for all of them anew.
const ADDED_BYTES_MAX: usize = 128 << 10;

/// See the module.
#[derive(Clone, Default)]
pub struct SharedMasks(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// How often something was added.
    version: AtomicUsize,
    masks: Mutex<Arc<Masks>>,
    added_bytes: AtomicUsize,
    hearers: Mutex<Vec<Hearer>>,
}

/// Who wants to know what is added.
type Hearer = Box<dyn FnMut(&[u8]) + Send>;

impl SharedMasks {
    /// As they are now.
    pub fn current(&self) -> Arc<Masks> {
        Arc::clone(&lock(&self.0.masks))
    }

    /// Adds a value; how many of its lines are no values.
    ///
    /// # Errors
    /// As [`Masks::add`].
    pub fn add(&self, value: &[u8]) -> Result<usize, MaskError> {
        if self.current().has(value) {
            return Ok(0);
        }
        // One that is too long takes no room from others.
        let with_it = |added: usize| added.checked_add(value.len()).filter(|all| *all <= ADDED_BYTES_MAX);
        self.0
            .added_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_it)
            .map_err(|_| MaskError::TooMany)?;
        let added = Arc::make_mut(&mut lock(&self.0.masks)).add([value]);
        self.0.version.fetch_add(1, Ordering::Release);
        lock(&self.0.hearers).iter_mut().for_each(|hear| hear(value));
        added
    }

    /// Has this called with each value that is added from now on. It must not wait.
    pub fn on_add(&self, hear: impl FnMut(&[u8]) + Send + 'static) {
        lock(&self.0.hearers).push(Box::new(hear));
    }

    /// The same text without secrets.
    pub fn mask_str(&self, text: &str) -> String {
        self.current().mask_str(text)
    }
}

impl From<Masks> for SharedMasks {
    fn from(masks: Masks) -> SharedMasks {
        SharedMasks(Arc::new(Shared { masks: Mutex::new(Arc::new(masks)), ..Shared::default() }))
    }
}

impl fmt::Debug for SharedMasks {
    /// Without the secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SharedMasks").finish_non_exhaustive()
    }
}

/// What somebody who looks at them again and again has seen of them.
#[derive(Debug)]
pub(crate) struct Seen {
    shared: SharedMasks,
    version: usize,
    /// As they were when that was looked at last.
    pub(crate) masks: Arc<Masks>,
}

impl Seen {
    pub(crate) fn of(shared: SharedMasks) -> Seen {
        let version = shared.0.version.load(Ordering::Acquire);
        Seen { version, masks: shared.current(), shared }
    }

    /// Looks whether there are more by now.
    #[inline]
    pub(crate) fn look(&mut self) -> bool {
        let version = self.shared.0.version.load(Ordering::Acquire);
        let is_news = std::mem::replace(&mut self.version, version) != version;
        if is_news {
            self.masks = self.shared.current();
        }
        is_news
    }

    /// Adds a value; as [`SharedMasks::add`].
    pub(crate) fn add(&mut self, value: &[u8]) -> Result<usize, MaskError> {
        let added = self.shared.add(value);
        self.look();
        added
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_one_adds_all_see_and_hear() {
        let shared = SharedMasks::default();
        let (mut seen, heard) = (Seen::of(shared.clone()), Arc::new(Mutex::new(Vec::new())));
        assert!(!seen.look() && seen.masks.is_empty());
        let hearing = Arc::clone(&heard);
        shared.on_add(move |value| lock(&hearing).push(value.to_vec()));
        assert_eq!(Seen::of(shared.clone()).add(b"hunter22").unwrap(), 0);
        assert!(seen.look() && !seen.look());
        assert_eq!((shared.mask_str("a hunter22"), seen.masks.mask_str("hunter22")), ("a ***".into(), "***".into()));
        assert_eq!(*lock(&heard), [b"hunter22"]);
        assert_eq!(format!("{shared:?}"), "SharedMasks { .. }");
        assert_eq!((shared.add(b"hunter22").unwrap(), seen.look(), lock(&heard).len()), (0, false, 1), "it is known");
    }

    #[test]
    fn there_is_an_end_to_what_is_added() {
        let shared = SharedMasks::default();
        let added = (0..1_000).filter(|number| shared.add(format!("{number:01000}").as_bytes()).is_ok()).count();
        assert_eq!(added, ADDED_BYTES_MAX / 1_000);
        assert!(matches!(shared.add(&[b'x'; 1_000]), Err(MaskError::TooMany)));
        assert_eq!((shared.add(b"hunter22").unwrap(), shared.mask_str("hunter22").as_str()), (0, "***"));
    }
}
