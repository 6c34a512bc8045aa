//! Names with numbers, in the order of the numbers.

/// The names in the order of their numbers, which must be 0, 1, 2, … without a gap.
///
/// A gap cannot be closed by sorting: it is not known which output the names behind it belong to.
pub(super) fn numbered(key: &str, mut entries: Vec<(usize, String)>) -> Result<Vec<String>, String> {
    entries.sort_by_key(|(number, _)| *number);
    for (position, (number, name)) in entries.iter().enumerate() {
        if *number > position {
            return Err(format!(
                "`{key}` does not number labels from 0 without a gap: {position} is missing before {number} (`{name}`)"
            ));
        }
        if *number < position {
            // Sorted, and without a gap up to here: so the entry before has the same number.
            let before = &entries[position - 1].1;
            return Err(format!("`{key}` gives the number {number} to both `{before}` and `{name}`"));
        }
    }
    Ok(entries.into_iter().map(|(_, name)| name).collect())
}
