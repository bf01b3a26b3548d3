//! Fields in their two texts.

use std::path::Path;

use logboom::deferred::{Fields, FieldsWriter};
use logboom::info;

use crate::collected::Collected;

const FIELDS_BYTES_MAX: usize = 256 << 10;

/// The two texts of fields.
fn written(push: impl Fn(&mut FieldsWriter)) -> (String, String) {
    let mut fields = FieldsWriter::default();
    push(&mut fields);
    let fields = fields.finish();
    (fields.suffix.to_owned(), fields.json.unwrap_or_default().to_owned())
}

#[test]
fn fields_of_a_call_keep_their_types() {
    let collector = Collected::all();
    let (code, path, user) = (404u16, Path::new("a b"), "eve");
    info!(collector, "m {}", 1, status = code, path = ?path, user = %user, "a.b" = -1.5f32, ok = true, type = 'c', r#fn = "x");
    let (message, suffix, json) = collector.one().render();
    assert_eq!(message, "m 1");
    assert_eq!(suffix, r#" status=404 path="\"a b\"" user=eve a.b=-1.5 ok=true type=c fn=x"#);
    assert_eq!(json, r#"{"status":404,"path":"\"a b\"","user":"eve","a.b":-1.5,"ok":true,"type":"c","fn":"x"}"#);
}

#[test]
fn fields_follow_a_message_that_was_formatted_at_the_call() {
    let collector = Collected::all();
    let x = 5;
    info!(collector, "{x}", addr = std::net::Ipv4Addr::LOCALHOST, x = x, shown = %x,);
    let (message, suffix, json) = collector.one().render();
    assert_eq!((message.as_str(), suffix.as_str()), ("5", " addr=127.0.0.1 x=5 shown=5"));
    assert_eq!(json, r#"{"addr":"127.0.0.1","x":5,"shown":"5"}"#);
}

#[test]
fn integers_beyond_64_bits_and_odd_floats_are_strings_in_json() {
    let collector = Collected::all();
    info!(collector, "", a = u64::MAX, b = u128::MAX, c = i128::MIN, d = i64::MIN, e = u64::MAX as i128, f = 1u128);
    let (_, suffix, json) = collector.one().render();
    assert_eq!(suffix, format!(" a={0} b={1} c={2} d={3} e={0} f=1", u64::MAX, u128::MAX, i128::MIN, i64::MIN));
    let (b, c) = (u128::MAX, i128::MIN);
    assert_eq!(json, format!(r#"{{"a":{0},"b":"{b}","c":"{c}","d":{1},"e":{0},"f":1}}"#, u64::MAX, i64::MIN));
    info!(
        collector,
        "",
        a = f64::NAN,
        b = f64::INFINITY,
        c = -0.0,
        d = 1e300,
        e = 0.1f32,
        f = 1.0,
        g = f32::NEG_INFINITY
    );
    let (_, suffix, json) = collector.one().render();
    assert_eq!(suffix, " a=NaN b=inf c=-0.0 d=1e300 e=0.1 f=1.0 g=-inf");
    assert_eq!(json, r#"{"a":"NaN","b":"inf","c":-0.0,"d":1e300,"e":0.1,"f":1.0,"g":"-inf"}"#);
}

#[test]
fn strings_are_quoted_where_a_reader_would_be_misled() {
    let cases = [
        ("plain", "plain", "\"plain\""),
        ("", "\"\"", "\"\""),
        ("a b", "\"a b\"", "\"a b\""),
        ("a=b", "\"a=b\"", "\"a=b\""),
        ("say \"hi\"", r#""say \"hi\"""#, r#""say \"hi\"""#),
        (r"C:\x", r"C:\x", r#""C:\\x""#),
        ("a\nb\r\t", r#""a\nb\r\t""#, r#""a\nb\r\t""#),
        ("\u{1b}[0m\u{0}", r#""\u001b[0m\u0000""#, r#""\u001b[0m\u0000""#),
        ("\u{85}\u{7f}", r#""\u0085\u007f""#, r#""\u0085\u007f""#),
        ("é\u{301}→{}", "é\u{301}→{}", "\"é\u{301}→{}\""),
        ("a\u{2003}b", "\"a\u{2003}b\"", "\"a\u{2003}b\""),
    ];
    for (value, logfmt, json) in cases {
        let expected = (format!(" k={logfmt}"), format!("{{\"k\":{json}}}"));
        assert_eq!(written(|fields| fields.push_str("k", value)), expected);
    }
}

#[test]
fn every_push_writes_both_texts() {
    let (suffix, json) = written(|fields| {
        fields.push_u64("u", 1);
        fields.push_i64("i", -1);
        fields.push_f64("f", 0.5);
        fields.push_bool("b", false);
        fields.push_display("d", &format_args!("{}-{}", 1, 2));
        fields.push_debug("g", &Some("x y"));
    });
    assert_eq!(suffix, r#" u=1 i=-1 f=0.5 b=false d=1-2 g="Some(\"x y\")""#);
    assert_eq!(json, r#"{"u":1,"i":-1,"f":0.5,"b":false,"d":"1-2","g":"Some(\"x y\")"}"#);
}

#[test]
fn names_that_come_at_run_time_cannot_break_the_texts() {
    let (suffix, json) = written(|fields| ["a b=\"\n", "", "é"].iter().for_each(|key| fields.push_u64(key, 1)));
    assert_eq!(suffix, " a_b___=1 _=1 é=1");
    assert_eq!(json, r#"{"a b=\"\n":1,"":1,"é":1}"#);
}

#[test]
fn fields_can_go_on_after_they_were_read_and_start_anew() {
    let mut fields = FieldsWriter::default();
    assert_eq!(fields.finish(), Fields { suffix: "", json: None, left_out: 0 });
    fields.push_u64("a", 1);
    assert_eq!(fields.finish().json, Some(r#"{"a":1}"#));
    fields.push_u64("b", 2);
    assert_eq!(fields.finish().json, Some(r#"{"a":1,"b":2}"#));
    fields.clear();
    assert_eq!(fields.finish(), Fields { suffix: "", json: None, left_out: 0 });
}

#[test]
fn what_does_not_fit_the_json_text_is_counted_there_and_stands_behind_the_message() {
    let long = "x".repeat(FIELDS_BYTES_MAX);
    let escaped = "\u{1}".repeat(FIELDS_BYTES_MAX / 4);
    let mut fields = FieldsWriter::default();
    fields.push_str("a", &long);
    fields.push_u64("b", 1);
    fields.push_str("c", &escaped);
    let written = fields.finish();
    assert_eq!(written.json, Some(r#"{"b":1,"fields_left_out":2}"#));
    assert_eq!(written.left_out, 2);
    assert!(written.suffix.starts_with(&format!(" a={long} b=1 c=\"\\u0001")));
}

#[test]
fn the_json_text_keeps_its_bound_whatever_the_sizes() {
    for len in FIELDS_BYTES_MAX - 80..FIELDS_BYTES_MAX {
        let mut fields = FieldsWriter::default();
        fields.push_str("a", &"x".repeat(len));
        (0..10).for_each(|_| fields.push_u64("b", 1));
        let written = fields.finish();
        let json = written.json.unwrap();
        assert!(json.len() <= FIELDS_BYTES_MAX);
        let pairs = json.matches("\":").count();
        assert_eq!(pairs, 11 - written.left_out as usize + usize::from(written.left_out > 0), "{len}");
    }
}
