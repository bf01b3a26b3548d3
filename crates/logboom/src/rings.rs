//! The rings of this thread: one for each collector that it logs to, made when it first does.
//!
//! All rings of a thread together have at most 1 MiB: each has a quarter of what is left, so that there is room for a dozen; when
//! too little is left the thread goes by the queue. Where no ring can be made (a full disk), it does too, and tries again later.

use std::{cell::RefCell, sync::Arc, time::Duration};

use crate::{
    deferred::Site,
    frame::{Head, Slot},
    inner::Inner,
    ring::{Producer, RING_BYTES_MIN},
};

/// The bytes of all rings of a thread.
const RINGS_BYTES_MAX: usize = 1 << 20;
/// How many calls go by the queue before a ring is tried again.
const CALLS_WITHOUT: u32 = 1_000;

thread_local! {
    static RINGS: RefCell<Vec<Mine>> = const { RefCell::new(Vec::new()) };
}

/// What a thread has of a collector.
struct Mine {
    id: u64,
    inner: Arc<Inner>,
    /// `None` where the thread goes by the queue.
    ring: Option<Producer>,
    /// How many calls did.
    calls_without: u32,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is in the ring.
    Done,
    /// There is no room for it now.
    Full,
    /// It is too large to wait for.
    TooLarge,
    /// There is no ring.
    NoRing,
    /// A call of this thread is being put into words in its ring, and made this one.
    Within,
}

/// Writes a frame straight into the ring. A call that `fill` makes itself is [`Put::Within`].
#[inline]
pub fn write(inner: &Arc<Inner>, head: &Head, fill: impl Fn(&mut Slot<'_>) -> u32) -> Put {
    with_ring(inner, |ring| write_into(ring, head, fill))
}

/// The same for a call of a site, which the ring file must know; [`Put::NoRing`] where it cannot.
#[inline]
pub fn write_call(inner: &Arc<Inner>, head: &Head, site: &'static Site, fill: impl Fn(&mut Slot<'_>)) -> Put {
    let number = site.number();
    let encode = || {
        let mut bytes = Vec::new();
        site.encode(&mut bytes);
        bytes
    };
    with_ring(inner, |ring| match ring.ensure_site(number, encode) {
        Ok(()) => write_into(ring, head, |slot| {
            fill(slot);
            number
        }),
        Err(_) => Put::NoRing,
    })
}

#[inline]
fn write_into(ring: &mut Producer, head: &Head, fill: impl Fn(&mut Slot<'_>) -> u32) -> Put {
    let mut slot = Slot::new(ring.slot());
    let number = fill(&mut slot);
    match slot.finish(&Head { number, ..*head }) {
        Some(bytes) => {
            ring.publish(bytes);
            Put::Done
        }
        None => Put::Full,
    }
}

/// Copies a frame into the ring.
#[inline]
pub fn copy(inner: &Arc<Inner>, frame: &[u8]) -> Put {
    with_ring(inner, |ring| {
        let Some(place) = ring.slot().get_mut(..frame.len()) else {
            return if frame.len() > ring.capacity() / 4 { Put::TooLarge } else { Put::Full };
        };
        place.copy_from_slice(frame);
        ring.publish(frame.len());
        Put::Done
    })
}

/// Waits until there may be room for a frame of so many bytes.
pub fn wait(inner: &Arc<Inner>, bytes: usize) {
    with_ring(inner, |ring| {
        while !ring.wait_for_room(bytes, Some(std::time::Instant::now() + Duration::from_millis(100))) {
            if inner.is_closed() {
                break; // nobody makes room any more
            }
        }
        Put::Done
    });
}

#[inline]
fn with_ring(inner: &Arc<Inner>, put: impl FnOnce(&mut Producer) -> Put) -> Put {
    let done = RINGS.try_with(|rings| {
        let Ok(mut rings) = rings.try_borrow_mut() else { return Put::Within };
        let at = rings.iter().position(|mine| mine.id == inner.id);
        let at = at.unwrap_or_else(|| add(&mut rings, inner));
        if rings[at].ring.is_none() {
            try_again(&mut rings, at);
        }
        rings[at].ring.as_mut().map_or(Put::NoRing, put)
    });
    done.unwrap_or(Put::NoRing) // the thread ends, and its rings are gone
}

#[cold]
fn add(rings: &mut Vec<Mine>, inner: &Arc<Inner>) -> usize {
    rings.retain(|mine| !mine.inner.is_closed() && !mine.inner.is_forked());
    let ring = make(rings, inner);
    rings.push(Mine { id: inner.id, inner: Arc::clone(inner), ring, calls_without: 0 });
    rings.len() - 1
}

#[cold]
fn try_again(rings: &mut [Mine], at: usize) {
    rings[at].calls_without += 1;
    if rings[at].calls_without >= CALLS_WITHOUT {
        rings[at].calls_without = 0;
        rings[at].ring = make(rings, &rings[at].inner);
    }
}

/// That a full disk refuses it is no harm: the queue is the other way.
fn make(rings: &[Mine], inner: &Inner) -> Option<Producer> {
    let file = inner.ring_file()?;
    let used: usize = rings.iter().filter_map(|mine| Some(mine.ring.as_ref()?.capacity())).sum();
    let share = RINGS_BYTES_MAX.saturating_sub(used) / 4;
    let bytes = if share.is_power_of_two() { share } else { share.next_power_of_two() / 2 };
    if bytes < RING_BYTES_MIN { None } else { file.producer(bytes).ok() }
}
