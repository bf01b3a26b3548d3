//! The forms in which records are written as lines: the bare message, or a JSON object with everything.
//!
//! Written by hand, since an input of millions of lines is made before every benchmark.

use logboom_record::Time;

use crate::generate::Generated;

/// How a record is written as a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The message alone.
    Text,
    /// A JSON object with all fields.
    Jsonl,
}

impl Form {
    /// Appends the record and a newline to `out`.
    pub fn write(self, record: &Generated<'_>, out: &mut Vec<u8>) {
        match self {
            Form::Text => out.extend_from_slice(record.message),
            Form::Jsonl => push_object(record, out),
        }
        out.push(b'\n');
    }
}

fn push_object(record: &Generated<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    let mut time = [0; Time::RFC3339_BYTES];
    record.time.write_rfc3339(&mut time);
    out.extend_from_slice(&time);
    push_text("\",\"type\":\"", record.kind.as_str(), out);
    if let Some(job) = record.job {
        push_text("\",\"job_run_id\":\"", job, out);
    }
    if let Some(task) = record.task {
        push_text("\",\"task_run_id\":\"", task, out);
    }
    push_text("\",\"level\":\"", record.level.as_str(), out);
    push_text("\",\"stream\":\"", record.stream.as_str(), out);
    out.extend_from_slice(b"\",\"message\":\"");
    push_escaped(record.message, out);
    out.push(b'"');
    if let Some(fields) = record.fields {
        out.extend_from_slice(b",\"fields\":");
        out.extend_from_slice(fields.as_bytes());
    }
    out.push(b'}');
}

fn push_text(before: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Messages are UTF-8 and have no control bytes but tabs, so that these three escapes are enough.
fn push_escaped(message: &[u8], out: &mut Vec<u8>) {
    for &byte in message {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.push(byte),
        }
    }
}
