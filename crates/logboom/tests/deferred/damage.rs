//! Sites and payloads that hold anything at all, as a damaged file may.

use logboom::deferred::{FieldsWriter, SITE_BYTES_MAX, SiteInfo};
use logboom::info;
use proptest::prelude::*;

use crate::collected::Collected;

/// The bytes of a site, and a payload of it.
fn sample() -> (Vec<u8>, Vec<u8>) {
    let collector = Collected::all();
    info!(
        collector, "{:>08.3} {1:é^+#30x} {0:?} {} é {2:?}", 1.5, 7u8, "string\n",
        a = 1, b = "x y", c = ?Some(1), d = f32::NAN, e = u128::MAX
    );
    let taken = collector.one();
    let mut bytes = Vec::new();
    taken.site.encode(&mut bytes);
    (bytes, taken.payload)
}

/// A site with this template and one field.
fn site_with(template: &str) -> Option<SiteInfo> {
    let mut bytes = [0u32.to_le_bytes(), 1u32.to_le_bytes(), 1u32.to_le_bytes()].concat();
    bytes.extend_from_slice(&1u16.to_le_bytes());
    for text in ["target", "file.rs", template, "key"] {
        bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    let len = bytes.len() as u32;
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    SiteInfo::parse(&bytes).map(|(info, _)| info)
}

/// Renders, and sees that what comes out is bounded and that an error leaves nothing.
fn render(info: &SiteInfo, payload: &[u8]) -> bool {
    let (mut out, mut fields) = (b"before".to_vec(), FieldsWriter::default());
    fields.push_u64("before", 1);
    let is_ok = info.render(payload, &mut out, &mut fields).is_ok();
    assert!(out.starts_with(b"before") && (is_ok || out.len() == 6));
    let pieces = info.template.matches('{').count();
    assert!(out.len() <= 6 + info.template.len() + pieces * (2 * 0x10_000 * 4 + payload.len() * 12));
    let fields = fields.finish();
    assert!(is_ok || (fields.suffix, fields.json) == (" before=1", Some(r#"{"before":1}"#)));
    assert!(fields.suffix.len() <= 9 + info.keys.len() * 200 + payload.len() * 12);
    is_ok
}

#[test]
fn a_site_cut_short_is_none_and_what_follows_it_is_left() {
    let (mut bytes, _) = sample();
    (0..bytes.len()).for_each(|len| assert!(SiteInfo::parse(&bytes[..len]).is_none()));
    let len = bytes.len();
    bytes.extend_from_slice(b"more");
    assert_eq!(SiteInfo::parse(&bytes).unwrap().1, len);
    assert!(len <= SITE_BYTES_MAX);
}

#[test]
fn a_payload_cut_short_or_too_long_is_an_error() {
    let (bytes, payload) = sample();
    let (info, _) = SiteInfo::parse(&bytes).unwrap();
    assert!(render(&info, &payload));
    assert!((0..payload.len()).all(|len| !render(&info, &payload[..len])));
    assert!(!render(&info, &[&payload[..], &[1, 1]].concat()));
    let error = info.render(&[], &mut Vec::new(), &mut FieldsWriter::default()).unwrap_err();
    assert!(error.to_string().contains("damage.rs:"), "{error}");
}

#[test]
fn arguments_that_a_template_cannot_show_are_errors() {
    let int = [1, 5, 1, 1];
    let text = [15, 1, 0, 0, 0, b'x', 1, 1];
    let bad_text = [15, 1, 0, 0, 0, 0xFF, 1, 1];
    let message_as_field = [1, 5, 17, 0, 0, 0, 0];
    let shown = |template, payload: &[u8]| render(&site_with(template).unwrap(), payload);
    assert!(shown("{:x}", &int) && shown("{}", &text) && shown("{}", &bad_text));
    assert!(!shown("{:x}", &text) && !shown("{:e}", &text) && !shown("{:?}", &bad_text) && !shown("{:3}", &bad_text));
    assert!(!shown("{x}", &int) && !shown("{}", &message_as_field) && !shown("{}{}", &int));
}

#[test]
fn a_template_that_repeats_a_long_argument_is_cut_visibly() {
    let info = site_with(&"{0}".repeat(1000)).unwrap();
    let long = 1 << 20;
    let payload = [&[15u8][..], &u32::to_le_bytes(long), &vec![b'x'; long as usize], &[1, 1]].concat();
    let (mut out, mut fields) = (Vec::new(), FieldsWriter::default());
    info.render(&payload, &mut out, &mut fields).unwrap();
    assert!(out.ends_with(b"x [cut: the message is longer than 64 MiB]") && out.len() < (65 << 20));
    assert_eq!(fields.finish().suffix, " key=1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_a_site_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some((info, len)) = SiteInfo::parse(&bytes) {
            prop_assert!(len <= bytes.len());
            render(&info, &bytes);
        }
    }

    #[test]
    fn a_damaged_site_still_encodes_to_what_it_was_read_from(at in 0usize..300, byte: u8) {
        let (mut bytes, payload) = sample();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Some((info, len)) = SiteInfo::parse(&bytes) {
            let mut again = Vec::new();
            info.encode(&mut again);
            prop_assert_eq!(&again[..], &bytes[..len]);
            render(&info, &payload);
        }
    }

    #[test]
    fn a_damaged_payload_is_rendered_or_refused(changes in proptest::collection::vec((0usize..300, any::<u8>()), 1..4)) {
        let (bytes, mut payload) = sample();
        let (info, _) = SiteInfo::parse(&bytes).unwrap();
        for (at, byte) in changes {
            let at = at % payload.len();
            payload[at] = byte;
        }
        render(&info, &payload);
    }

    #[test]
    fn any_template_meets_any_payload(
        template in "([a-zé{}]|\\{[0-9]{0,2}(:[é0*]?[<^>]?\\+?#?0?[0-9]{0,5}(\\.[0-9]{1,3})?[?xXobeE]?)?\\}){0,8}",
        payload in proptest::collection::vec(prop_oneof![1u8..19, any::<u8>(), Just(0)], 0..60),
    ) {
        if let Some(info) = site_with(&template) {
            render(&info, &payload);
        }
    }
}
