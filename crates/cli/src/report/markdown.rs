//! Pieces of Markdown with text of others in them.

use super::text;

/// So long a name is shown.
const NAME_CHARS_MAX: usize = 200;
/// So long a line of output is shown.
const LINE_CHARS_MAX: usize = 300;

/// A name as code, whatever it has in it; also good within a table and a summary.
pub fn name(text: &str) -> String {
    let line = text::one_line(text);
    let mut out = String::from("<code>");
    for one in line.chars().take(NAME_CHARS_MAX) {
        match one {
            // Nothing of Markdown, HTML or a link begins without one of the others.
            ' ' | '-' | '.' | ',' | '(' | ')' | '=' | '+' | '/' | ':' => out.push(one),
            _ if one.is_ascii_punctuation() => out += &format!("&#{};", one as u32),
            _ => out.push(one),
        }
    }
    let mut out = out.replace("://", "&#58;//").replace("www.", "www&#46;");
    if line.chars().count() > NAME_CHARS_MAX {
        out.push('…');
    }
    out + "</code>"
}

/// Lines as a block of code, in a fence that none of them ends.
pub fn block(lines: &str) -> String {
    let mut cut = String::with_capacity(lines.len());
    for line in lines.lines() {
        let end = line.char_indices().nth(LINE_CHARS_MAX).map_or(line.len(), |(at, _)| at);
        cut += &line[..end];
        cut += if end < line.len() { " …\n" } else { "\n" };
    }
    let longest = cut.split(|one| one != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{cut}{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_nothing_but_a_name() {
        let hostile = "a|b <img src=x> `c` *d* [e](http://x) @f\n# g & \x1b[31mred\x1b[0m \x07";
        let shown = name(hostile);
        let inner = shown.strip_prefix("<code>").and_then(|rest| rest.strip_suffix("</code>")).unwrap();
        assert!(!inner.contains(['|', '<', '>', '`', '*', '[', ']', '@', '\n', '\x1b', '\x07', '"']), "{inner}");
        assert!(!inner.contains("://") && inner.contains("red \u{fffd}"), "{inner}");
        assert_eq!(name("tests::adds"), "<code>tests::adds</code>");
        assert_eq!(name(&"x".repeat(300)), format!("<code>{}…</code>", "x".repeat(200)));
    }

    #[test]
    fn no_line_ends_the_block_that_it_is_in() {
        assert_eq!(block("a\nb"), "```text\na\nb\n```\n");
        assert_eq!(block("````\n</details>"), "`````text\n````\n</details>\n`````\n");
        assert_eq!(block(&"é".repeat(301)), format!("```text\n{} …\n```\n", "é".repeat(300)));
        assert_eq!(block(""), "```text\n```\n");
    }
}
