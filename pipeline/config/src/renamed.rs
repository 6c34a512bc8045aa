//! Former names of keys and values, so that a configuration of an earlier release is read without changes. One warning
//! is logged for each former name that is used.
//!
//! Contract: renamed keys and values are declared in tables. If a key is set under both of its names, that is a
//! problem, because it is not clear which of the two values is meant.

use toml::Value;

use crate::lines::Lines;
use crate::problems::Problems;
use crate::tree::{join, steps};

/// A key that had another name in an earlier release. Both names are in the same section.
#[derive(Clone, Copy, Debug)]
pub struct Renamed {
    /// Path of the section; `*` means every element of an array, as in `sinks.*`; empty for the top level.
    pub section: &'static str,
    /// The name that earlier releases used.
    pub old: &'static str,
    /// The present name.
    pub new: &'static str,
}

/// A value that had another name in an earlier release.
#[derive(Clone, Copy, Debug)]
pub struct RenamedValue {
    /// The section's path, as in [`Renamed`].
    pub section: &'static str,
    /// The present name of the key.
    pub key: &'static str,
    /// The value as earlier releases wrote it.
    pub old: &'static str,
    /// The value as it is written at present.
    pub new: &'static str,
}

/// Replaces former names of keys and values by their present names, and logs a warning once for each.
pub(crate) fn apply_renamed(
    root: &mut Value,
    keys: &[Renamed],
    values: &[RenamedValue],
    lines: &mut Lines,
    problems: &mut Problems,
) {
    for key in keys {
        let mut is_used = false;
        for_each_section(root, key.section, "", &mut |section, path| {
            if rename_key(section, path, key, problems) {
                is_used = true;
                let old: Vec<String> = steps(path).chain([key.old]).map(str::to_string).collect();
                lines.rename(&old, key.new);
            }
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

/// Calls `visit` with every table that `section` matches, and with the path of that table.
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

/// Renames one key of a section. Returns whether the key was set under its former name.
fn rename_key(section: &mut toml::Table, path: &str, key: &Renamed, problems: &mut Problems) -> bool {
    let Some(value) = section.remove(key.old) else { return false };
    if section.contains_key(key.new) {
        problems.add(join(path, key.old), format!("is the old name of `{}`, which is set, too", key.new));
    } else {
        section.insert(key.new.into(), value);
    }
    true
}

/// Replaces one value of a section. Returns whether the value was written in its former form.
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
    fn former_names_are_read_as_the_present_ones() {
        let old = "[model]\nbake = 1\n[[sinks]]\ntype = 'lake'\n[[sinks]]\ntype = 'files'\nfilter = 'a'";
        let new = "[model]\ncanary = 1\n[[sinks]]\ntype = 'delta'\n[[sinks]]\ntype = 'files'\nwhere = 'a'";
        assert_eq!(read(old).unwrap(), read(new).unwrap());
        assert_eq!(read(new).unwrap(), new.parse().unwrap(), "new names stay");
    }

    #[test]
    fn an_override_may_use_a_former_name_too() {
        let table: toml::Table = parse("", "t", &["model.bake=5".to_string()], &|_| None, &FORMAT).unwrap();
        assert_eq!(table["model"]["canary"].as_integer(), Some(5));
    }

    #[test]
    fn a_key_under_both_names_is_a_problem_with_its_path() {
        let problems = read("[[sinks]]\nfilter = 'a'\nwhere = 'b'").unwrap_err();
        assert_eq!(problems.problems[0].key, "sinks[0].filter");
        assert!(problems.to_string().contains("is the old name of `where`"), "{problems}");
    }
}
