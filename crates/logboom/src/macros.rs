//! The macros that programs log with.
//!
//! `__take` munches what follows the template one argument at a time, because `$value:expr` would swallow `key = value`
//! as an assignment; every argument gets a name of its own, since each round of a macro has names that no other round
//! sees. The names end up in one `match`, so that every argument is evaluated once and its temporaries live until the
//! call is over. `format_args!` sees every template and its arguments, whatever is deferred: its errors are the
//! compiler's usual ones.

/// Logs at a level: `log!(level, collector, "template {}", argument, key = value)`.
///
/// The template and its arguments are those of `format!`, but for named arguments: what is written `key = value` is a
/// field, which the template does not show. A field is a number, a `bool`, a string, or whatever has `Display`; `key =
/// %value` takes what the value shows as `{}`, `key = ?value` what it shows as `{:?}`, both as strings. A name that is
/// no identifier stands in quotes. Nothing is evaluated but the collector and the level if the collector does not want
/// the level; all arguments are evaluated once if it does.
///
/// Integers, floats, `bool`, `char` and strings, and references to them, are stored as they are and formatted later by
/// the collector's own thread; anything else is formatted at the call.
///
/// Arguments that do not fit the template do not compile, as with `format!`, nor do fields before arguments, a field
/// whose name stands twice, or a field that cannot be shown:
///
/// ```compile_fail,E0277
/// # fn log(collector: impl logboom::private::Takes) {
/// struct Unshowable;
/// logboom::info!(collector, "{}", Unshowable);
/// # }
/// ```
/// ```compile_fail
/// # fn log(collector: impl logboom::private::Takes) {
/// logboom::info!(collector, "{} {}", 1);
/// # }
/// ```
/// ```compile_fail
/// # fn log(collector: impl logboom::private::Takes) {
/// logboom::info!(collector, "{}", 1, 2);
/// # }
/// ```
/// ```compile_fail
/// # fn log(collector: impl logboom::private::Takes) {
/// logboom::info!(collector, "{}", key = 1, 2);
/// # }
/// ```
/// ```compile_fail,E0080
/// # fn log(collector: impl logboom::private::Takes) {
/// logboom::info!(collector, "", key = 1, key = 2);
/// # }
/// ```
/// ```compile_fail,E0599
/// # fn log(collector: impl logboom::private::Takes) {
/// struct Unshowable;
/// logboom::info!(collector, "", key = Unshowable);
/// # }
/// ```
/// ```compile_fail,E0277
/// logboom::info!(5, "what is logged to must be a collector");
/// ```
/// All of these, written as they should be:
/// ```
/// # fn log(collector: impl logboom::private::Takes) {
/// logboom::info!(collector, "{} {}", 1, "two", key = 3.5, "dotted.key" = %4, other = ?Some(5));
/// # }
/// ```
#[macro_export]
macro_rules! log {
    ($level:expr, $collector:expr, $template:expr $(, $($rest:tt)*)?) => {
        $crate::__take!(@args [$level, $collector, $template] [] [0usize] [] $($($rest)*)?)
    };
}

/// Logs what is finer than debug; see [`log!`](crate::log).
#[macro_export]
macro_rules! trace {
    ($($rest:tt)+) => { $crate::log!($crate::private::Level::Trace, $($rest)+) };
}

/// Logs what is for the program's developer; see [`log!`](crate::log).
#[macro_export]
macro_rules! debug {
    ($($rest:tt)+) => { $crate::log!($crate::private::Level::Debug, $($rest)+) };
}

/// Logs the ordinary course; see [`log!`](crate::log).
#[macro_export]
macro_rules! info {
    ($($rest:tt)+) => { $crate::log!($crate::private::Level::Info, $($rest)+) };
}

/// Logs what a person may have to look at; see [`log!`](crate::log).
#[macro_export]
macro_rules! warn {
    ($($rest:tt)+) => { $crate::log!($crate::private::Level::Warn, $($rest)+) };
}

/// Logs that something failed; see [`log!`](crate::log).
#[macro_export]
macro_rules! error {
    ($($rest:tt)+) => { $crate::log!($crate::private::Level::Error, $($rest)+) };
}

/// `@args [level, collector, template] [arguments so far] [index of the next] [fields so far] what is left`
#[doc(hidden)]
#[macro_export]
macro_rules! __take {
    (@args $call:tt $args:tt $at:tt [$($fields:tt)*] $key:tt = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__take!(@args $call $args $at [$($fields)* (field $key Shown $value)] $($($rest)*)?)
    };
    (@args $call:tt $args:tt $at:tt [$($fields:tt)*] $key:tt = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__take!(@args $call $args $at [$($fields)* (field $key Debugged $value)] $($($rest)*)?)
    };
    (@args $call:tt $args:tt $at:tt [$($fields:tt)*] $key:tt = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__take!(@args $call $args $at [$($fields)* (field $key Plain $value)] $($($rest)*)?)
    };
    (@args $call:tt [$($args:tt)*] [$($at:tt)*] [] $value:expr $(, $($rest:tt)*)?) => {
        $crate::__take!(@args $call [$($args)* (arg [$($at)*] $value)] [$($at)* + 1] [] $($($rest)*)?)
    };
    (@args $call:tt $args:tt $at:tt [$($fields:tt)+] $value:expr $(, $($rest:tt)*)?) => {
        compile_error!("the template's arguments stand before the fields")
    };
    (
        @args [$level:expr, $collector:expr, $template:expr]
        [$(($arg:ident [$($at:tt)*] $value:expr))*] $next:tt [$(($field:ident $key:tt $how:ident $shown:expr))*]
    ) => {
        match (&$collector, $level) {
            (collector, level) => if $crate::private::Takes::enabled(collector, level, module_path!()) {
                match ($(&$value,)* $(&$shown,)*) {
                    ($($arg,)* $($field,)*) => {
                        #[allow(unused_imports)]
                        use $crate::private::{
                            ArgByTrait as _, ArgByType as _, ArgInMessage as _, FieldByTrait as _, FieldByType as _,
                        };
                        static SITE: $crate::private::Site = $crate::private::Site::new(
                            $crate::private::Source { target: module_path!(), file: file!(), line: line!() },
                            $template,
                            &[$($crate::__key!($key)),*],
                        );
                        $(let $arg = $crate::private::Arg::<_, { $crate::private::use_of($template, $($at)*) }>($arg);)*
                        $(let $field = $crate::private::$how($field);)*
                        let in_message = !const { $crate::private::deferrable($template) }
                            $(|| (&&&$arg).in_message())*;
                        let encode = |slot: &mut $crate::private::Slot<'_>| {
                            if in_message {
                                $crate::private::put_message(slot, format_args!($template $(, *$arg.0)*));
                            } else {
                                $((&&&$arg).put(slot);)*
                            }
                            $((&&$field).put(slot);)*
                        };
                        $crate::private::Takes::take(
                            collector,
                            $crate::private::Call { level, site: &SITE, encode },
                        );
                    }
                }
            },
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __key {
    ($key:ident) => {
        $crate::private::key_name(stringify!($key))
    };
    ($key:literal) => {
        $key
    };
}
