//! What the macros expand to: no part of the interface, and free to change.

use std::rc::Rc;
use std::sync::Arc;

pub use crate::deferred::{
    Arg, ArgByTrait, ArgByType, ArgInMessage, Debugged, FieldByTrait, FieldByType, Plain, Shown, Site, Source, Stored,
    deferrable, key_name, put_message, use_of,
};
pub use crate::frame::Slot;
pub use logboom_record::Level;

/// One call that was made, for a collector to take.
pub struct Call<F> {
    /// How serious it is.
    pub level: Level,
    /// Where it stands.
    pub site: &'static Site,
    /// Writes the payload; may be run again, in another slot. It may run code of the program, which may log itself, panic, or
    /// take long.
    pub encode: F,
}

/// What the macros can log to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no collector to log to",
    note = "the first argument of logboom's macros is a `logboom::LogCollector`, or a reference to one"
)]
pub trait Takes {
    /// Whether calls of this level from this module are wanted; the arguments of others are not even evaluated.
    fn enabled(&self, level: Level, target: &'static str) -> bool;

    /// Takes a call.
    fn take<F: Fn(&mut Slot<'_>)>(&self, call: Call<F>);
}

macro_rules! behind {
    ($($pointer:ty),*) => {
        $(impl<T: Takes + ?Sized> Takes for $pointer {
            #[inline]
            fn enabled(&self, level: Level, target: &'static str) -> bool {
                (**self).enabled(level, target)
            }

            #[inline]
            fn take<F: Fn(&mut Slot<'_>)>(&self, call: Call<F>) {
                (**self).take(call);
            }
        })*
    };
}

behind!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);
