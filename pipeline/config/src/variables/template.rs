//! The syntax of variables in a string: `${NAME}`, `${NAME:-default}`, and `$$` for one `$`.
//!
//! A `$` before any other character is an ordinary character, so that regular expressions such as `^news$` need no
//! escape. The syntax is that of a POSIX shell, without nested variables.

/// A part of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Text that stays as it is.
    Text(&'a str),
    /// `$$`.
    Dollar,
    /// `${NAME}` or `${NAME:-default}`.
    Variable {
        /// The name as it is written: the name of an environment variable may consist of any characters.
        name: &'a str,
        /// Used if the variable is not set or empty.
        default: Option<&'a str>,
    },
}

/// The parts of a string, in order. The error continues a sentence that begins with the key; it does not quote the
/// string, which may be a secret.
pub(super) fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = vec![];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        parts.push(Part::Text(before));
        let (part, remainder) = dollar(after)?;
        parts.push(part);
        rest = remainder;
    }
    parts.push(Part::Text(rest));
    parts.retain(|part| *part != Part::Text(""));
    Ok(parts)
}

/// The part that a `$` begins, and what follows it; `after` is the text after the `$`.
fn dollar(after: &str) -> Result<(Part<'_>, &str), String> {
    if let Some(rest) = after.strip_prefix('$') {
        return Ok((Part::Dollar, rest));
    }
    let Some(rest) = after.strip_prefix('{') else {
        return Ok((Part::Text("$"), after));
    };
    let (inner, rest) =
        rest.split_once('}').ok_or("has `${` without a closing `}`; write `$${` for the text `${`")?;
    Ok((variable(inner)?, rest))
}

/// A variable; `inner` is the text in the braces.
fn variable(inner: &str) -> Result<Part<'_>, String> {
    let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, text)| (name, Some(text)));
    if name.is_empty() {
        return Err("has `${` without the name of a variable".into());
    }
    if default.is_some_and(|default| default.contains('{')) {
        // In `${A:-${B}}` the first `}` would end the outer variable.
        let name = readable(name);
        return Err(format!("gives the variable `{name}` a default with `{{`, but a default is plain text"));
    }
    Ok(Part::Variable { name, default })
}

/// The beginning of a name that may be shown. What follows another character is left out: in a password that
/// contains `${` by chance it is a part of the password.
pub(super) fn readable(name: &str) -> &str {
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Part<'_> {
        Part::Variable { name, default: None }
    }

    fn with_default<'a>(name: &'a str, default: &'a str) -> Part<'a> {
        Part::Variable { name, default: Some(default) }
    }

    #[test]
    fn every_form_is_told_apart() {
        use Part::{Dollar, Text};
        let cases: [(&str, &[Part<'_>]); 18] = [
            ("", &[]),
            ("plain } {", &[Text("plain } {")]),
            ("${A}", &[variable("A")]),
            ("a${B}c${D}", &[Text("a"), variable("B"), Text("c"), variable("D")]),
            ("${A}}", &[variable("A"), Text("}")]),
            ("${A:-}", &[with_default("A", "")]),
            ("${A:-x y}", &[with_default("A", "x y")]),
            ("${A:-:-}", &[with_default("A", ":-")]),
            ("${A:-$x}", &[with_default("A", "$x")]),
            ("${a.b-c}", &[variable("a.b-c")]),
            ("$$", &[Dollar]),
            ("$$$", &[Dollar, Text("$")]),
            ("$$$$", &[Dollar, Dollar]),
            ("$${A}", &[Dollar, Text("{A}")]),
            ("$$${A}", &[Dollar, variable("A")]),
            ("^a$", &[Text("^a"), Text("$")]),
            ("$1 $A", &[Text("$"), Text("1 "), Text("$"), Text("A")]),
            ("新${闻}", &[Text("新"), variable("闻")]),
        ];
        for (text, expected) in cases {
            assert_eq!(parts(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_quoting_it() {
        let cases = [
            ("a${hunter2", "without a closing"),
            ("${", "without a closing"),
            ("${}hunter2", "without the name"),
            ("${:-hunter2}", "without the name"),
            ("${A:-${hunter2}}", "`A` a default with `{`"),
            ("${A:-{hunter2}}", "`A` a default with `{`"),
            ("${A hunter2:-$${}}", "`A` a default with `{`"),
        ];
        for (text, expected) in cases {
            let problem = parts(text).unwrap_err();
            assert!(problem.contains(expected) && !problem.contains("hunter2"), "{text}: {problem}");
        }
    }
}
