//! `tracing`: its events go where the records of `log` go, with the spans around them.
//!
//! An event is `outer{id=3}:inner: message key=value`, and its fields, those of the spans first, are the record's. A span's
//! text is made once, when the span is, and again when it records more.

use std::fmt::{self, Write};

use log::LevelFilter;
use tracing_core::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{deferred::FieldsWriter, dispatch, inner::level_of};

/// Hands the events of `tracing` to every collector that wants them; to be put on a subscriber with a registry of spans.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt;
/// let subscriber = tracing_subscriber::registry().with(logboom::TracingLayer);
/// # drop(subscriber);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingLayer;

/// A value of a field.
#[derive(Clone, Debug)]
enum Value {
    U64(u64),
    I64(i64),
    F64(f64),
    Bool(bool),
    Text(String),
}

/// Fields as they come.
#[derive(Clone, Debug, Default)]
struct Fields {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

/// What is kept with a span.
struct SpanText {
    fields: Fields,
    /// `name{key=value}`
    text: String,
}

impl SpanText {
    fn new(name: &str, fields: Fields) -> SpanText {
        let mut writer = FieldsWriter::default();
        fields.push_to(&mut writer);
        let text = match writer.finish().suffix.trim_start() {
            "" => name.to_owned(),
            suffix => format!("{name}{{{suffix}}}"),
        };
        SpanText { fields, text }
    }
}

impl Fields {
    fn push_to(&self, writer: &mut FieldsWriter) {
        for (key, value) in &self.fields {
            match value {
                Value::U64(value) => writer.push_u64(key, *value),
                Value::I64(value) => writer.push_i64(key, *value),
                Value::F64(value) => writer.push_f64(key, *value),
                Value::Bool(value) => writer.push_bool(key, *value),
                Value::Text(value) => writer.push_str(key, value),
            }
        }
    }

    /// Takes over what was recorded later: a field has the value that was recorded last.
    fn merge(&mut self, later: Fields) {
        for (name, value) in later.fields {
            match self.fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => self.fields.push((name, value)),
            }
        }
    }

    fn push(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text)) => self.message = text,
            // What the bridge from `log` to `tracing` adds is known already.
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, Value::U64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, Value::I64(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, Value::F64(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, Value::Text(format!("{value:?}")));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TracingLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanText::new(span.name(), fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        // Before the lock: this formats values of the program, which may log within the span.
        let mut later = Fields::default();
        values.record(&mut later);
        let mut extensions = span.extensions_mut();
        if let Some(text) = extensions.get_mut::<SpanText>() {
            text.fields.merge(later);
            *text = SpanText::new(span.name(), std::mem::take(&mut text.fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let (level, target) = (to_log(*event.metadata().level()), event.metadata().target());
        let mut ready = None;
        dispatch::for_each(|inner| {
            if inner.filter.wants(level, target) {
                let (message, json) = ready.get_or_insert_with(|| in_words(event, &context));
                inner.log_ready(level_of(level), message, json);
            }
        });
    }
}

/// The message, with the spans before it and the fields behind, and the fields as JSON.
fn in_words<S: Subscriber + for<'a> LookupSpan<'a>>(event: &Event<'_>, context: &Context<'_, S>) -> (String, String) {
    let (mut fields, mut writer, mut message) = (Fields::default(), FieldsWriter::default(), String::new());
    event.record(&mut fields);
    for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
        if let Some(span) = span.extensions().get::<SpanText>() {
            // A String takes everything.
            let _ = write!(message, "{}:", span.text);
            span.fields.push_to(&mut writer);
        }
    }
    if !message.is_empty() {
        message.push(' ');
    }
    message.push_str(&fields.message);
    let mut own = FieldsWriter::default();
    fields.push_to(&mut own);
    message.push_str(own.finish().suffix);
    fields.push_to(&mut writer);
    (message, writer.finish().json.unwrap_or_default().to_owned())
}

fn to_log(level: Level) -> log::Level {
    match level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Info,
        Level::DEBUG => log::Level::Debug,
        Level::TRACE => log::Level::Trace,
    }
}

/// Installs both at once: what the program and its libraries log through `log` or `tracing`, up to `level`, goes to every live
/// collector that wants it.
///
/// # Errors
/// [`AlreadyInstalled`](crate::AlreadyInstalled) if either has been installed before; the other is installed all the same.
pub fn init(level: LevelFilter) -> Result<(), crate::AlreadyInstalled> {
    use tracing_subscriber::layer::SubscriberExt;
    let logger = dispatch::install(level);
    let subscriber = tracing_subscriber::registry().with(TracingLayer).with(to_tracing(level));
    let traced = tracing_core::dispatcher::set_global_default(subscriber.into());
    logger.and(traced.map_err(|_| crate::AlreadyInstalled { ours: false }))
}

fn to_tracing(level: LevelFilter) -> tracing_subscriber::filter::LevelFilter {
    use tracing_subscriber::filter::LevelFilter as Tracing;
    match level {
        LevelFilter::Off => Tracing::OFF,
        LevelFilter::Error => Tracing::ERROR,
        LevelFilter::Warn => Tracing::WARN,
        LevelFilter::Info => Tracing::INFO,
        LevelFilter::Debug => Tracing::DEBUG,
        LevelFilter::Trace => Tracing::TRACE,
    }
}
