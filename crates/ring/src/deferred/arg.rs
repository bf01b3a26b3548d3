//! How the macros choose, for the type of each argument and field, between storing and formatting.
//!
//! Stable Rust has no specialization, but a method call takes the first type in the chain `&&&T`, `&&T`, `&T` that has
//! the method. So [`ArgByType`] is there for `&&Arg` where the argument can be stored, [`ArgByTrait`] for `&Arg` where
//! it has the trait that the template uses, and [`ArgInMessage`] for every `Arg`; the macros call on `&&&Arg`. All of
//! it is decided by the compiler, and is gone from the code that it makes.

use std::fmt::{Debug, Display};

use super::template::{USE_DEBUG, USE_DISPLAY, USE_PRETTY};
use super::value::{Stored, put_text};
use crate::frame::Slot;

/// An argument of a template, and how the template uses it: see [`use_of`](super::use_of).
#[derive(Clone, Copy, Debug)]
pub struct Arg<'a, T: ?Sized, const USE: u8>(pub &'a T);

/// The first choice: the argument is stored.
pub trait ArgByType {
    /// Whether it is only inside of the whole message, formatted at the call.
    #[inline]
    fn in_message(&self) -> bool {
        false
    }

    /// Appends it.
    fn put(&self, slot: &mut Slot<'_>);
}

impl<T: Stored + ?Sized, const USE: u8> ArgByType for &&Arg<'_, T, USE> {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        self.0.put(slot);
    }
}

/// The second choice: the argument is formatted at the call, the rest of the message later.
pub trait ArgByTrait {
    /// Whether it is only inside of the whole message, formatted at the call.
    #[inline]
    fn in_message(&self) -> bool {
        false
    }

    /// Appends it.
    fn put(&self, slot: &mut Slot<'_>);
}

impl<T: Display + ?Sized> ArgByTrait for &Arg<'_, T, USE_DISPLAY> {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        put_text(slot, format_args!("{}", self.0));
    }
}

impl<T: Debug + ?Sized> ArgByTrait for &Arg<'_, T, USE_DEBUG> {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        put_text(slot, format_args!("{:?}", self.0));
    }
}

impl<T: Debug + ?Sized> ArgByTrait for &Arg<'_, T, USE_PRETTY> {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        put_text(slot, format_args!("{:#?}", self.0));
    }
}

/// The last choice: the whole message is formatted at the call.
pub trait ArgInMessage {
    /// Whether it is only inside of the whole message, formatted at the call.
    #[inline]
    fn in_message(&self) -> bool {
        true
    }

    /// Appends nothing: the message holds it.
    #[inline]
    fn put(&self, _: &mut Slot<'_>) {}
}

impl<T: ?Sized, const USE: u8> ArgInMessage for Arg<'_, T, USE> {}

/// The value of a field `key = value`.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a, T: ?Sized>(pub &'a T);
/// The value of a field `key = %value`.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a, T: ?Sized>(pub &'a T);
/// The value of a field `key = ?value`.
#[derive(Clone, Copy, Debug)]
pub struct Debugged<'a, T: ?Sized>(pub &'a T);

/// The first choice of a field: its value is stored.
pub trait FieldByType {
    /// Appends it.
    fn put(&self, slot: &mut Slot<'_>);
}

impl<T: Stored + ?Sized> FieldByType for &Plain<'_, T> {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        self.0.put(slot);
    }
}

/// The second choice of a field: its value is formatted at the call.
pub trait FieldByTrait {
    /// Appends it.
    fn put(&self, slot: &mut Slot<'_>);
}

impl<T: Display + ?Sized> FieldByTrait for Plain<'_, T> {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        put_text(slot, format_args!("{}", self.0));
    }
}

impl<T: Display + ?Sized> FieldByTrait for Shown<'_, T> {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        put_text(slot, format_args!("{}", self.0));
    }
}

impl<T: Debug + ?Sized> FieldByTrait for Debugged<'_, T> {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        put_text(slot, format_args!("{:?}", self.0));
    }
}
