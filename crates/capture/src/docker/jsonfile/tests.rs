use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const STAMP: &str = "2026-01-02T03:04:05.123456789Z";
const STAMP_NS: i64 = 1_767_323_045_123_456_789;

fn decode(line: impl AsRef<[u8]>) -> Option<(Vec<u8>, Entry)> {
    let mut out = b"before".to_vec();
    let entry = Decoder::default().decode(line.as_ref(), &mut out);
    assert!(entry.is_some() || out == b"before", "what is no entry leaves nothing");
    entry.map(|entry| (out.split_off(6), entry))
}

fn text_of(escaped: &str) -> Option<Vec<u8>> {
    let (text, entry) = decode(format!(r#"{{"log":"{escaped}","stream":"stderr","time":"{STAMP}"}}"#))?;
    assert_eq!(entry, Entry { stream: Stream::Stderr, origin_time_ns: Some(STAMP_NS) });
    Some(text)
}

#[test]
fn an_entry_of_the_engine_is_decoded() {
    assert_eq!(text_of(r"hello\n").unwrap(), b"hello\n");
    assert_eq!(text_of("").unwrap(), b"");
    assert_eq!(text_of(r"\n").unwrap(), b"\n");
    assert_eq!(text_of("no newline").unwrap(), b"no newline");
    assert_eq!(text_of(&"x".repeat(16_384)).unwrap(), "x".repeat(16_384).as_bytes());
}

#[test]
fn escapes_are_what_they_stand_for() {
    assert_eq!(text_of(r#"\u003ca\u003e \"q\" \\ \/ \b\f\r\t\u0000\n"#).unwrap(), b"<a> \"q\" \\ / \x08\x0c\r\t\0\n");
    assert_eq!(text_of(r"\u00e9\u20AC\n").unwrap(), "é€\n".as_bytes());
    assert_eq!(text_of(r"\\n").unwrap(), br"\n", "a backslash and an n, not a newline");
    assert_eq!(text_of(r"\\\n").unwrap(), b"\\\n");
    assert_eq!(text_of("\u{7f}é\\n").unwrap(), "\u{7f}é\n".as_bytes());
}

#[test]
fn surrogates_are_joined_and_half_ones_replaced() {
    assert_eq!(text_of(r"\ud83d\ude00").unwrap(), "😀".as_bytes());
    assert_eq!(text_of(r"\ud83d!\n").unwrap(), "\u{fffd}!\n".as_bytes());
    assert_eq!(text_of(r"\ude00\ud83d").unwrap(), "\u{fffd}\u{fffd}".as_bytes());
    assert_eq!(text_of(r"\ud83d\u0041").unwrap(), "\u{fffd}A".as_bytes());
    assert_eq!(text_of(r"\ud83d\ud83d\ude00").unwrap(), "\u{fffd}😀".as_bytes());
}

#[test]
fn bytes_that_are_no_utf_8_are_kept() {
    let line =
        [br#"{"log":"a"#, &[0xff, 0xc3][..], br#"\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}"#].concat();
    assert_eq!(decode(line).unwrap().0, b"a\xff\xc3\n");
}

#[test]
fn attributes_other_orders_and_white_space_are_read() {
    let lines = [
        format!(r#"{{"log":"a\n","stream":"stdout","attrs":{{"tag":"{{\"x\"}}","n":[1,{{}}]}},"time":"{STAMP}"}}"#),
        format!(r#"{{"time":"{STAMP}","stream":"stdout","log":"a\n"}}"#),
        format!("\t{{ \"stream\" : \"stdout\" ,\r \"log\" : \"a\\n\" , \"time\" : \"{STAMP}\" }} \r"),
        format!(r#"{{"log":"b","log":"a\n","x":null,"y":-1.5e+3,"stream":"std\u006fut","time":"{STAMP}"}}"#),
        r#"{"log":"a\n","stream":"stdout","time":"2026-01-02T04:04:05.123456789+01:00"}"#.to_owned(),
    ];
    for line in lines {
        let want = Entry { stream: Stream::Stdout, origin_time_ns: Some(STAMP_NS) };
        assert_eq!(decode(&line), Some((b"a\n".to_vec(), want)), "{line}");
    }
}

#[test]
fn an_empty_output_has_no_member() {
    assert_eq!(decode(format!(r#"{{"stream":"stdout","time":"{STAMP}"}}"#)).unwrap().0, b"");
}

#[test]
fn a_time_that_is_none_does_not_cost_the_output() {
    let (text, entry) = decode(r#"{"log":"a\n","stream":"stdout","time":"yesterday"}"#).unwrap();
    assert_eq!((text.as_slice(), entry.origin_time_ns), (&b"a\n"[..], None));
}

#[test]
fn what_is_torn_is_no_entry() {
    let whole = format!(r#"{{"log":"some text\n","stream":"stdout","time":"{STAMP}"}}"#);
    for cut in 0..whole.len() {
        assert_eq!(decode(&whole[..cut]), None, "{}", &whole[..cut]);
        assert_eq!(decode(format!("{}{whole}", &whole[..cut])).is_some(), cut == 0, "cut at {cut}");
        assert_eq!(
            decode([&whole.as_bytes()[..cut], &[0; 9], &whole.as_bytes()[cut..]].concat()),
            None,
            "cut at {cut}"
        );
    }
    for line in ["", " ", "null", "[]", "{}", r#"{"log":"a"}"#, r#"{"log":1,"stream":"stdout"}"#] {
        assert_eq!(decode(line), None, "{line}");
    }
    for escaped in [r"\", r"\x", r"\u12", r"\u12g4", "\t", "\0", r#"a"b"#] {
        assert_eq!(text_of(escaped), None, "{escaped}");
    }
}

/// An entry as serde_json reads it.
#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    log: String,
    stream: Stream,
}

fn spaces() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\t \r")]
}

/// A text as JSON, some characters escaped that need not be.
fn json_string() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => (any::<char>(), any::<bool>()),
        4 => (prop::char::range('\0', '\u{80}'), any::<bool>()),
        1 => (Just('\n'), Just(false)),
    ];
    prop::collection::vec(character, 0..60).prop_map(|characters| {
        let mut text = String::from("\"");
        for (character, as_units) in characters {
            if as_units {
                let units: Vec<_> =
                    character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
                text.push_str(&units.concat());
            } else {
                let quoted = serde_json::to_string(&character).unwrap();
                text.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
        text + "\""
    })
}

/// A valid entry: its members in any order, with others between them.
fn entry() -> impl Strategy<Value = String> {
    let stream = prop_oneof![Just(r#""stdout""#), Just(r#""stderr""#)].prop_map(str::to_owned);
    let more = prop_oneof![Just("{\"a\":\"]}\",\"b\":[1,{}]}"), Just("[]"), Just("-1e5"), Just("true")]
        .prop_map(str::to_owned);
    let members = (json_string(), stream, more.clone(), more, json_string()).prop_map(|(log, stream, a, b, c)| {
        vec![("log", log), ("stream", stream), ("attrs", a), ("other", b), ("third", c), ("time", format!("{STAMP:?}"))]
    });
    let usual = json_string().prop_map(|log| format!(r#"{{"log":{log},"stream":"stdout","time":"{STAMP}"}}"#));
    let any = (members.prop_shuffle(), spaces(), spaces()).prop_map(|(members, before, after)| {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("{before}\"{name}\"{after}:{before}{value}{after}")).collect();
        format!("{before}{{{}}}{after}", members.join(","))
    });
    prop_oneof![usual, any]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn valid_entries_are_read_as_serde_json_reads_them(line in entry()) {
        let known: Known = serde_json::from_str(&line).unwrap();
        let (text, entry) = decode(&line).unwrap();
        prop_assert_eq!(text, known.log.into_bytes());
        prop_assert_eq!(entry, Entry { stream: known.stream, origin_time_ns: Some(STAMP_NS) });
    }

    #[test]
    fn any_bytes_are_an_entry_or_none(
        line in entry(),
        bytes in prop::collection::vec(any::<u8>(), 0..20),
        at in any::<prop::sample::Index>(),
        len in 0usize..20,
    ) {
        let at = at.index(line.len() + 1);
        let mut line = line.into_bytes();
        line.splice(at..(at + len).min(line.len()), bytes.iter().copied());
        if let (Some((text, entry)), Ok(known)) = (decode(&line), serde_json::from_slice::<Known>(&line)) {
            prop_assert_eq!((text, entry.stream), (known.log.into_bytes(), known.stream));
        }
        decode(&bytes);
    }
}
