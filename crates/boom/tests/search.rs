//! A search that asks the filter first finds what one without it finds.

#![allow(clippy::unwrap_used, clippy::panic)] // tests may

mod maker;

use logboom_boom::{
    gram_query::{Case, GramQuery},
    reader::Reader,
};
use logboom_record::{Entry, Flags, Record, Stream, ansi};
use maker::{Maker, PLAIN, Shape, record, write};
use proptest::{collection::vec, prelude::*};
use regex::bytes::{Regex, RegexBuilder};
use tempfile::tempdir;

/// Which of the file's blocks hold a part of a line that matches, with and without its ANSI codes; `lines` are those of
/// the whole file, each with the blocks that it has parts in.
fn matching(lines: &[(Vec<usize>, Vec<u8>)], is_match: impl Fn(&[u8]) -> bool) -> Vec<usize> {
    let matches = |line: &[u8]| {
        let mut plain = Vec::new();
        ansi::strip(line, &mut plain);
        is_match(line) || is_match(&plain)
    };
    let found = lines.iter().filter(|(_, line)| matches(line));
    let mut blocks: Vec<usize> = found.flat_map(|(blocks, _)| blocks.iter().copied()).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// The records of each block.
type Corpus = Vec<Vec<Record>>;

fn made(corpus: &Corpus, shape: Shape) -> Reader {
    let dir = tempdir().unwrap();
    let mut maker = Maker::new(shape);
    for records in corpus {
        let entries: Vec<Entry> = records.iter().cloned().map(Entry::Record).collect();
        maker.block(&entries, &[], None);
    }
    Reader::open(&write(dir.path(), &maker.seal().bytes, None)).unwrap()
}

/// The lines of a corpus, parts joined over blocks.
fn lines(corpus: &Corpus) -> Vec<(Vec<usize>, Vec<u8>)> {
    let mut lines = Vec::new();
    for stream in Stream::ALL {
        let (mut blocks, mut line) = (Vec::new(), Vec::new());
        let parts = corpus.iter().enumerate().flat_map(|(block, records)| records.iter().map(move |one| (block, one)));
        for (block, part) in parts.filter(|(_, part)| part.stream == stream) {
            blocks.push(block);
            line.extend(&part.message);
            if !part.flags.has(Flags::CONTINUED) {
                lines.push((std::mem::take(&mut blocks), std::mem::take(&mut line)));
            }
        }
        lines.push((blocks, line));
    }
    lines
}

fn assert_nothing_is_missed(reader: &Reader, query: &GramQuery, expected: &[usize], what: &str) {
    let candidates = reader.candidates(query);
    for block in expected {
        assert!(candidates.contains(*block), "{what:?} is in block {block}, not in {candidates:?}: {query:?}");
    }
}

fn corpus() -> impl Strategy<Value = Corpus> {
    let word = prop_oneof![
        "[a-zA-Z]{1,8}",
        "[0-9a-f]{4,12}",
        Just("\x1b[1;31merror\x1b[0m".to_owned()),
        Just("Straße".to_owned()),
        Just("tas\u{212a}".to_owned()),
        Just("a\nb".to_owned()),
        "(timeout|refused|KILLED|kiss) after [0-9]{1,4}s",
    ];
    let message = vec(word, 0..5).prop_map(|words| words.join(" ").into_bytes());
    let message = prop_oneof![9 => message, 1 => vec(any::<u8>(), 0..12)];
    let part = (message, any::<bool>(), 0u8..8).prop_map(|(message, stderr, continued)| {
        let flags = if continued == 0 { Flags::CONTINUED } else { Flags::NONE };
        let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
        Record { flags, stream, ..record(0, message) }
    });
    vec(vec(part, 1..8), 1..9).prop_map(|mut corpus| {
        (1..).zip(corpus.iter_mut().flatten()).for_each(|(seq, record)| record.seq = seq);
        corpus
    })
}

/// A pattern that has a chance to match: pieces of regex around pieces of the corpus's words.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-zA-Z0-9 ]{1,6}",
        "(time|refused|kill|kiss|error|after|stra|tas)",
        Just("[kK]i(ss|ll)".to_owned()),
        Just("[^a]".to_owned()),
        Just("\\d+".to_owned()),
        Just(".*".to_owned()),
        Just("\\b".to_owned()),
        Just("^".to_owned()),
        Just("ß".to_owned()),
        Just("\\n".to_owned()),
        Just("(?i-u:k)".to_owned()),
        Just("\\x1b\\[1".to_owned()),
    ];
    let inner = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
            (inner.clone(), "(\\?|\\*|\\+|\\{2\\}|\\{1,3\\}|\\{2,\\}|\\{0,1\\}|\\{9\\})")
                .prop_map(|(one, times)| format!("(?:{one}){times}")),
            inner.prop_map(|one| format!("(?i:{one})")),
        ]
    });
    (any::<bool>(), inner).prop_map(|(fold, pattern)| if fold { format!("(?i){pattern}") } else { pattern })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_regex_finds_the_same_with_the_filter(corpus in corpus(), patterns in vec(pattern(), 8), per_index in 1usize..5) {
        let reader = made(&corpus, Shape { blocks_per_index: per_index, ..PLAIN });
        let lines = lines(&corpus);
        for pattern in patterns {
            let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
            let (Ok(hir), Ok(regex)) = (parser.parse(&pattern), Regex::new(&pattern)) else { continue };
            let expected = matching(&lines, |line| regex.is_match(line));
            assert_nothing_is_missed(&reader, &GramQuery::regex(&hir), &expected, &pattern);
        }
    }

    #[test]
    fn any_piece_of_a_line_is_found(corpus in corpus(), pick in any::<prop::sample::Index>(), from in 0usize..30, len in 1usize..30) {
        let reader = made(&corpus, PLAIN);
        let lines = lines(&corpus);
        let line = &pick.get(&lines).1;
        let from = from.min(line.len());
        let piece = &line[from..(from + len).min(line.len())];
        let expected = matching(&lines, |line| memchr::memmem::find(line, piece).is_some());
        assert_nothing_is_missed(&reader, &GramQuery::literal(piece, Case::Sensitive), &expected, &format!("{piece:?}"));
        if let Ok(piece) = std::str::from_utf8(piece) {
            for other in [piece.to_uppercase(), piece.to_lowercase()] {
                let regex = RegexBuilder::new(&regex::escape(&other)).case_insensitive(true).build().unwrap();
                let expected = matching(&lines, |line| regex.is_match(line));
                let query = GramQuery::literal(other.as_bytes(), Case::Insensitive);
                assert_nothing_is_missed(&reader, &query, &expected, &other);
            }
        }
    }
}

/// 70 blocks of lines, of which block 41 has the one that is looked for.
fn haystack(needle: &str) -> Reader {
    let line = |block: u64, at: u64| {
        let message =
            if (block, at) == (41, 3) { needle.to_owned() } else { format!("worker {at} is at block {block}") };
        record(block * 5 + at + 1, message)
    };
    let corpus = (0..70).map(|block| (0..5).map(|at| line(block, at)).collect()).collect();
    made(&corpus, Shape { blocks_per_index: 32, ..PLAIN })
}

#[test]
fn a_rare_word_leaves_its_own_block() {
    let reader = haystack("Connection REFUSED by 0b5f9ac1-77aa");
    let blocks = |query: &GramQuery| reader.candidates(query).iter().collect::<Vec<_>>();
    for text in ["connection refused", "REFUSED by", "0b5f9ac1-77aa"] {
        assert_eq!(blocks(&GramQuery::literal(text.as_bytes(), Case::Insensitive)), [41], "{text}");
    }
    for pattern in
        ["REF(USE|used)D", "(?i)refused|no such word", "C\\w+n REF.*D", "(Connection ){1,3}R", "(Connection|zzzz) R"]
    {
        assert_eq!(blocks(&GramQuery::regex(&regex_syntax::parse(pattern).unwrap())), [41], "{pattern}");
    }
    assert_eq!(reader.candidates(&GramQuery::literal(b"absent words", Case::Sensitive)).count(), 0);
    assert_eq!(reader.candidates(&GramQuery::literal(b"worker", Case::Sensitive)).count(), 70);
    assert_eq!(reader.candidates(&GramQuery::any()).count(), 70);
}

#[test]
fn blocks_without_index_and_those_that_share_a_line_are_always_candidates() {
    let mut maker = Maker::new(PLAIN);
    let part = |seq, message: &str, flags| Entry::Record(Record { flags, ..record(seq, message) });
    maker.block(&[part(1, "first", Flags::NONE)], &[], None);
    maker.block(&[part(2, "a nee", Flags::CONTINUED)], &[], None);
    maker.block(&[part(3, "dle", Flags::NONE)], &[], None);
    maker.block(&[part(4, "fourth", Flags::NONE)], &[], None);
    maker.block(&[part(5, "not indexed", Flags::NONE)], &[], None);
    let tail = maker.tail(&[(5, vec![(vec![part(6, "in the tail", Flags::NONE)], vec![])])]);
    let dir = tempdir().unwrap();
    let reader = Reader::open(&write(dir.path(), &maker.bytes, Some(&tail))).unwrap();
    let found = reader.candidates(&GramQuery::literal(b"needle", Case::Sensitive));
    assert_eq!(found.iter().collect::<Vec<_>>(), [1, 2, 4, 5]);
}

#[test]
fn a_filter_that_cannot_be_read_rules_nothing_out() {
    let mut maker = Maker::new(PLAIN);
    (1..=4).for_each(|seq| {
        maker.block(&[Entry::Record(record(seq, format!("line {seq}")))], &[], None);
    });
    let dir = tempdir().unwrap();
    let path = write(dir.path(), &maker.seal().bytes, None);
    let absent = GramQuery::literal(b"absent", Case::Sensitive);
    assert_eq!(Reader::open(&path).unwrap().candidates(&absent).count(), 0);
    let pages = memchr::memmem::find_iter(&maker.bytes, &[0xf5, 0x0f, b'b', b'o', b'o', b'm', 0xf0, 0x5f]);
    let mut damaged = maker.bytes.clone();
    // The filter is the end of an index frame, so it stands before the frame after it.
    pages.skip(1).for_each(|at| damaged[at - 9] ^= 1);
    let reader = Reader::open(&write(dir.path(), &damaged, None)).unwrap();
    assert_eq!(reader.blocks().len(), 4);
    assert_eq!(reader.candidates(&absent).count(), 4);
}
