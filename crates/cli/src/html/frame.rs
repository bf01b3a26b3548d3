//! What is around the content of a page: its head, with the policy, style and script, and what filters the lines.

use logboom_record::{Level, Stream, json::base64};
use sha2::{Digest, Sha256};

use super::{facts::Facts, text::name};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Appends all that stands before the lines.
pub fn push_begin(page: &mut Vec<u8>, facts: &Facts<'_>) {
    let style = format!("{STYLE}{}", palette());
    // Nothing is loaded, sent or framed, and no script runs but this one: whatever else the page holds.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(&style),
        hash(SCRIPT)
    );
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"{policy}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" \
         content=\"no-referrer\">\n<meta name=\"generator\" content=\"logboom {}\">\n<title>{}</title>\n<style>{style}</style>\n</head>\n\
         <body>\n<header>\n",
        env!("CARGO_PKG_VERSION"),
        facts.title()
    );
    facts.push(&mut text);
    text += "</header>\n<main aria-labelledby=\"printed\">\n<h2 id=\"printed\">Lines</h2>\n";
    match facts.window.shown() {
        0 if facts.window.left_out() == 0 => text += "<p>Nothing was printed.</p>\n",
        _ => push_filters(&mut text, facts),
    }
    text += "<div id=\"lines\">\n";
    page.extend_from_slice(text.as_bytes());
}

/// Appends all that stands behind the lines.
pub fn push_end(page: &mut Vec<u8>) {
    page.extend_from_slice(format!("</div>\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n").as_bytes());
}

/// Hidden until the script is there that they need.
fn push_filters(text: &mut String, facts: &Facts<'_>) {
    *text += "<form id=\"filters\" role=\"search\" hidden>\n<label>Text <input type=\"search\" id=\"text\" autocomplete=\"off\" \
              spellcheck=\"false\"></label>\n";
    if facts.names.len() > 1 {
        let names: Vec<(String, String)> =
            facts.names.values().enumerate().map(|(at, run)| (at.to_string(), name(run))).collect();
        push_select(text, ("run", "Run", "all"), &names);
    }
    let streams: Vec<_> = Stream::ALL.iter().map(|one| ((*one as u8).to_string(), one.as_str().to_owned())).collect();
    push_select(text, ("stream", "Stream", "all"), &streams);
    let levels = Level::ALL.iter().filter(|level| **level > Level::Trace);
    let levels: Vec<_> = levels.map(|one| ((*one as u8).to_string(), one.as_str().to_owned())).collect();
    push_select(text, ("level", "Level from", "trace"), &levels);
    *text += "<output id=\"count\" aria-live=\"polite\"></output>\n</form>\n";
}

fn push_select(text: &mut String, (id, label, first): (&str, &str, &str), options: &[(String, String)]) {
    *text += &format!("<label>{label} <select id=\"{id}\"><option value=\"\">{first}");
    options.iter().for_each(|(value, name)| *text += &format!("<option value=\"{value}\">{name}"));
    *text += "</select></label>\n";
}

/// The 240 colours that no terminal lets a person choose, mixed with the page's own so that they can be read on it.
fn palette() -> String {
    let mut css = String::new();
    for number in 16..=255u32 {
        let [red, green, blue] = rgb(number);
        let color = format!("#{red:02x}{green:02x}{blue:02x}");
        css += &format!(".f{number}{{color:color-mix(in srgb,{color} 60%,var(--ink))}}");
        css += &format!(".g{number}{{background:color-mix(in srgb,{color} 40%,var(--paper))}}\n");
    }
    css
}

fn rgb(number: u32) -> [u32; 3] {
    if number >= 232 {
        return [8 + (number - 232) * 10; 3];
    }
    let part = |step: u32| if step == 0 { 0 } else { 55 + step * 40 };
    let cube = number - 16;
    [part(cube / 36), part(cube / 6 % 6), part(cube % 6)]
}

fn hash(text: &str) -> String {
    base64(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_a_browser_computes() {
        assert_eq!(hash(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn the_palette_is_that_of_terminals() {
        assert_eq!((rgb(16), rgb(196), rgb(231), rgb(244)), ([0; 3], [255, 0, 0], [255; 3], [128; 3]));
    }

    #[test]
    fn style_and_script_end_where_they_should() {
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    }
}
