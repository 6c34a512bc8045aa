//! Old names of keys and values: a configuration of an earlier release is read as it is, with a warning for each
//! name that should be changed.
//!
//! Contract: names are declared in tables; where an old and its new key are both set, that is a problem, since it
//! is not clear which of them counts.

use toml::Value;

use crate::problems::Problems;
use crate::tree::join;

/// A key that had another name. Both are in the same section.
#[derive(Clone, Copy, Debug)]
pub struct Renamed {
    /// The section's path; `*` stands for every element of an array, as in `sinks.*`; empty for the top.
    pub section: &'static str,
    /// The name that earlier releases used.
    pub old: &'static str,
    /// The name at present.
    pub new: &'static str,
}

/// A value that had another name.
#[derive(Clone, Copy, Debug)]
pub struct RenamedValue {
    /// The section's path, as in [`Renamed`].
    pub section: &'static str,
    /// The key, by its name at present.
    pub key: &'static str,
    /// What earlier releases called the value.
    pub old: &'static str,
    /// What it is called at present.
    pub new: &'static str,
}

/// Gives all keys and values their names at present, and warns once of each that had an old one.
pub(crate) fn apply_renamed(
    root: &mut Value,
    keys: &[Renamed],
    values: &[RenamedValue],
    problems: &mut Problems,
) {
    for key in keys {
        let mut is_used = false;
        for_each_section(root, key.section, "", &mut |section, path| {
            is_used |= rename_key(section, path, key, problems);
        });
        if is_used {
            let Renamed { section, old, new } = key;
            tracing::warn!(event = "renamed_key", section, old, new, "a key is read under its old name");
        }
    }
    for value in values {
        let mut is_used = false;
        for_each_section(root, value.section, "", &mut |section, _| is_used |= rename_value(section, value));
        if is_used {
            let RenamedValue { section, key, old, new } = value;
            tracing::warn!(
                event = "renamed_value",
                section,
                key,
                old,
                new,
                "a value is read under its old name"
            );
        }
    }
}

/// Shows `visit` every table that `section` means, with its path.
fn for_each_section(
    value: &mut Value,
    section: &str,
    path: &str,
    visit: &mut dyn FnMut(&mut toml::Table, &str),
) {
    if section.is_empty() {
        if let Value::Table(table) = value {
            visit(table, path);
        }
        return;
    }
    let (first, rest) = section.split_once('.').unwrap_or((section, ""));
    match value {
        Value::Table(table) => {
            if let Some(child) = table.get_mut(first) {
                for_each_section(child, rest, &join(path, first), visit);
            }
        }
        Value::Array(elements) if first == "*" => {
            for (index, element) in elements.iter_mut().enumerate() {
                for_each_section(element, rest, &format!("{path}[{index}]"), visit);
            }
        }
        _ => {}
    }
}

/// Whether the old name was there.
fn rename_key(section: &mut toml::Table, path: &str, key: &Renamed, problems: &mut Problems) -> bool {
    let Some(value) = section.remove(key.old) else { return false };
    if section.contains_key(key.new) {
        problems.add(join(path, key.old), format!("is the old name of `{}`, which is set, too", key.new));
    } else {
        section.insert(key.new.into(), value);
    }
    true
}

/// Whether the value had its old name.
fn rename_value(section: &mut toml::Table, value: &RenamedValue) -> bool {
    match section.get_mut(value.key) {
        Some(Value::String(text)) if text == value.old => {
            *text = value.new.into();
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Format, parse};

    const FORMAT: Format = Format {
        types: &[],
        renamed: &[
            Renamed { section: "model", old: "bake", new: "canary" },
            Renamed { section: "sinks.*", old: "filter", new: "where" },
        ],
        renamed_values: &[RenamedValue { section: "sinks.*", key: "type", old: "lake", new: "delta" }],
    };

    fn read(text: &str) -> Result<toml::Table, Problems> {
        parse(text, "old.toml", &[], &|_| None, &FORMAT)
    }

    #[test]
    fn an_old_configuration_reads_as_a_new_one() {
        let old = "[model]\nbake = 1\n[[sinks]]\ntype = 'lake'\n[[sinks]]\ntype = 'files'\nfilter = 'a'";
        let new = "[model]\ncanary = 1\n[[sinks]]\ntype = 'delta'\n[[sinks]]\ntype = 'files'\nwhere = 'a'";
        assert_eq!(read(old).unwrap(), read(new).unwrap());
        assert_eq!(read(new).unwrap(), new.parse().unwrap(), "new names stay");
    }

    #[test]
    fn an_override_may_use_the_old_name_too() {
        let table: toml::Table = parse("", "t", &["model.bake=5".to_string()], &|_| None, &FORMAT).unwrap();
        assert_eq!(table["model"]["canary"].as_integer(), Some(5));
    }

    #[test]
    fn both_names_at_once_are_a_problem_that_names_the_place() {
        let problems = read("[[sinks]]\nfilter = 'a'\nwhere = 'b'").unwrap_err();
        assert_eq!(problems.problems[0].key, "sinks[0].filter");
        assert!(problems.to_string().contains("is the old name of `where`"), "{problems}");
    }
}
