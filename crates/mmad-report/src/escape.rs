//! Text made safe for the place it is put into.
//!
//! Class names come from folder names, so they can hold anything.

/// Shows control characters and direction overrides by their escapes (`\n`, `\u{202e}`), so that a
/// name can neither break a line nor command a terminal.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let turns_text = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns_text {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// For a cell of a Markdown table: no markup, no HTML, no column separator.
pub(crate) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '|' | '_' | '*' | '`' | '[' | ']' | '~' | '#' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// For one CSV field: quoted when needed, quotes doubled (RFC 4180).
pub(crate) fn csv(text: &str) -> String {
    let text = visible(text);
    if text.contains([',', '"']) || text.trim() != text {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// For LaTeX text mode. Letters outside ASCII stay as they are, which every current engine reads.
pub(crate) fn latex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '\\' => escaped.push_str(r"\textbackslash{}"),
            '~' => escaped.push_str(r"\textasciitilde{}"),
            '^' => escaped.push_str(r"\textasciicircum{}"),
            '<' => escaped.push_str(r"\textless{}"),
            '>' => escaped.push_str(r"\textgreater{}"),
            '|' => escaped.push_str(r"\textbar{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// For JSON inside a `<script>` element: without `<` the text can neither close the element nor
/// open a comment.
pub(crate) fn json_in_script(json: &str) -> String {
    // In JSON a `<` only ever stands inside a string, where the escape means the same.
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWKWARD: &str = "a|b_c<d>\"é\" 🔩\n\u{202e}";

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(visible("\u{1b}[31mred\r\n"), "\\u{1b}[31mred\\r\\n");
        assert_eq!(visible("Schraube_ö 🔩"), "Schraube_ö 🔩");
    }

    #[test]
    fn each_place_gets_its_own_escape() {
        let in_markdown = r#"a\|b\_c&lt;d&gt;"é" 🔩\\n\\u{202e}"#;
        assert_eq!(markdown(AWKWARD), in_markdown);
        assert_eq!(csv(AWKWARD), r#""a|b_c<d>""é"" 🔩\n\u{202e}""#);
        let in_latex = r#"a\textbar{}b\_c\textless{}d\textgreater{}"é" 🔩\textbackslash{}n\textbackslash{}u\{202e\}"#;
        assert_eq!(latex(AWKWARD), in_latex);
    }

    #[test]
    fn plain_text_passes_unchanged() {
        for escape in [markdown, csv, latex] {
            assert_eq!(escape("metal nut 7"), "metal nut 7");
        }
    }

    #[test]
    fn json_cannot_leave_its_script_element() {
        let value = "</script><!-- <b>";
        let escaped = json_in_script(&serde_json::to_string(value).unwrap());
        assert!(!escaped.contains('<'));
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), value);
    }
}
