//! Calls whose formatting is left to the writer.
//!
//! A call of [`info!`](crate::deferred) and its like stores its arguments as they are, a tag and a few bytes each, and the
//! number of its call site; [`SiteInfo::render`] makes the text of them later, on the writer's thread or, after a
//! crash, in another process, byte for byte as `format!` would have. What can be stored is told by type: integers,
//! floats, `bool`, `char` and strings, and references to them. Whatever else a template shows is formatted at the call,
//! and so is the whole message where a template says something that `template.rs` does not know (captured names, a
//! width that is an argument): such a call prints the same and costs more.
//!
//! A payload is the values of the template's arguments in their order, or the whole message, then those of the fields.
//! `docs/formats.md`, "Ring file", has the bytes of values and of sites.

mod arg;
mod fields;
mod info;
mod pad;
mod show;
mod site;
mod template;
mod value;

pub use fields::{Fields, FieldsWriter};
pub use info::{RenderError, SITE_BYTES_MAX, SiteInfo};
pub use site::{Site, Source};

#[doc(hidden)]
pub use {
    arg::{Arg, ArgByTrait, ArgByType, ArgInMessage, Debugged, FieldByTrait, FieldByType, Plain, Shown},
    site::key_name,
    template::{deferrable, use_of},
    value::{Stored, put_message},
};
