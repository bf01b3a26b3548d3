//! Templates by values: what the writer renders is what `format!` gives.

use std::fmt::{Binary, Debug, Display, LowerExp, LowerHex, Octal, UpperExp, UpperHex};

use logboom::info;
use logboom::private::Stored;
use proptest::prelude::*;

use crate::collected::Collected;

/// Logs the values, each with every template, and compares.
macro_rules! same {
    ($values:expr; $($template:literal)*) => {
        let collector = Collected::all();
        for value in $values {
            $(
                info!(collector, $template, value);
                agrees(&collector, stringify!($template), &format!($template, value));
            )*
        }
    };
}

/// Sees that the call was stored as it is, and reads as it should.
fn agrees(collector: &Collected, template: &str, expected: &str) {
    let taken = collector.one();
    assert!(taken.is_stored(), "template {template} for {expected}");
    assert_eq!(taken.message(), expected, "template {template}");
}

fn text_like<T: Stored + Display + Debug>(values: impl IntoIterator<Item = T>) {
    same! { values;
        "{}" "{:?}" "{0}{0:?}" "a{}b" "{:5}" "{:<5}" "{:^6}" "{:>7}" "{:*<5}" "{:*^6}" "{:é>7}" "{:→^9}" "{:<<4}" "{:>>4}"
        "{:#}" "{:+}" "{:05}" "{:+08}" "{:.0}" "{:.1}" "{:.3}" "{:5.2}" "{:>9.3}" "{:^9.30}" "{:#?}" "{:8?}" "{:*^9?}" "{:.2?}"
        "{:+?}" "{:08?}" "{:🦀^20}" "{:1}" "{:0<3}" "{:000}" "{:4000}" "{:*^+#09.1}" "{:👨^9?}" "{0:>3}{0:<3}{0}" "{{{}}}"
    }
}

fn radix<T: Stored + LowerHex + UpperHex + Octal + Binary + LowerExp + UpperExp>(values: impl IntoIterator<Item = T>) {
    same! { values;
        "{:x}" "{:X}" "{:o}" "{:b}" "{:#x}" "{:#X}" "{:#o}" "{:#b}" "{:+x}" "{:+#x}" "{:08x}" "{:#010x}" "{:+#012X}" "{:#0140b}"
        "{:>#20x}" "{:*^#20o}" "{:é<+20b}" "{:<08x}" "{:^#08X}" "{:#.3x}" "{:2x}" "{:#3x}"
    }
}

fn exponents<T: Stored + LowerExp + UpperExp>(values: impl IntoIterator<Item = T>) {
    same! { values;
        "{:e}" "{:E}" "{:+e}" "{:.0e}" "{:.1E}" "{:.3e}" "{:.40e}" "{:12e}" "{:<12E}" "{:*^+15.2e}" "{:012e}" "{:+012.1E}" "{:#e}"
        "{:#010e}"
    }
}

macro_rules! integers {
    ($($type:ident)*) => {
        $(
            let values = [$type::MIN, $type::MIN + 1, 0, 1, 9, 10, 15, 25, 99, 100, $type::MAX / 2, $type::MAX - 1, $type::MAX];
            let values = values.into_iter().chain([$type::MIN / 3, 0 as $type, (1 as $type).wrapping_neg()]);
            text_like(values.clone());
            radix(values.clone());
            exponents(values);
        )*
    };
}

#[test]
fn integers_of_all_widths() {
    integers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);
}

macro_rules! floats {
    ($($type:ident)*) => {
        $(
            let values = [
                0.0, -0.0, 1.0, -1.0, 0.1, 0.5, 1.5, 2.5, 0.05, 9.995, 123456.79, -99999.5, 1e7, 1e15, 1e16, 1e17, 1e-4, 1e-5,
                1e-7, 3.4e38, 1e-40, $type::MIN, $type::MAX, $type::EPSILON, $type::MIN_POSITIVE, $type::NAN, -$type::NAN,
                $type::INFINITY, $type::NEG_INFINITY,
            ];
            text_like(values);
            exponents(values);
        )*
    };
}

#[test]
fn floats_of_both_widths() {
    floats!(f32 f64);
}

#[test]
fn bools_chars_and_strings() {
    text_like([true, false]);
    text_like(['a', ' ', '"', '\'', '\n', '\0', 'é', '\u{301}', '→', '🦀', '\u{10FFFF}', '\u{200D}']);
    let long = "5,000 characters: é\u{301}\n".repeat(5_000 / 20);
    text_like([
        "",
        "a",
        "abcdef",
        "é\u{301}e\u{301}",
        "日本語",
        "👨‍👩‍👧",
        "a\"b'c\\d",
        "tab\tnew\nline\r\0\u{7f}\u{85}",
        "{}",
        &long,
    ]);
    text_like([String::from("string"), String::new()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_values(
        text in any::<String>(), char: char, byte: u8, long: i64, wide: i128, unsigned: u128, bits32: u32, bits64: u64, real: f64,
    ) {
        text_like([&text]);
        text_like([char]);
        text_like([f32::from_bits(bits32)]);
        exponents([f32::from_bits(bits32)]);
        text_like([f64::from_bits(bits64), real]);
        exponents([f64::from_bits(bits64), real]);
        radix([byte]);
        radix([long]);
        radix([wide]);
        radix([unsigned]);
        exponents([long]);
        exponents([wide]);
        text_like([wide]);
        text_like([unsigned]);
    }

    #[test]
    fn random_calls(job: u64, task: u64, status: u16, micros: u32, path in any::<String>(), ratio: f32, flag: bool) {
        let collector = Collected::all();
        info!(collector, "job {} task {} request completed status={} in {}us path={}", job, task, status, micros, path);
        let expected = format!("job {job} task {task} request completed status={status} in {micros}us path={path}");
        prop_assert_eq!(collector.one().message(), expected);
        info!(collector, "{4:?} {1:>8} {0} {} {3:e} {2:x}", job, task, status, ratio, path, flag = flag);
        let expected = format!("{path:?} {task:>8} {job} {job} {ratio:e} {status:x}");
        prop_assert_eq!(collector.one().message(), expected);
    }
}
