//! Whether two cleaning configurations give a model the same texts, by their fingerprints.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// How the texts of two fingerprints relate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The texts are the same.
    Same,
    /// The steps are the same, and some operators have another version: their results differ for a few texts. Each is
    /// described as `strip_html 1 -> 2`.
    Versions(Vec<String>),
    /// The steps or the dictionary differ.
    Different,
}

/// What [`CleanConfig::fingerprint`](crate::CleanConfig::fingerprint) writes.
#[derive(Deserialize)]
struct Parts {
    operators: BTreeMap<String, u32>,
    steps: Value,
    user_dict: Value,
}

/// Compares the fingerprint `trained` with the fingerprint `configured`.
pub fn agreement(trained: &str, configured: &str) -> Agreement {
    if trained == configured {
        return Agreement::Same;
    }
    let parts = |fingerprint| serde_json::from_str::<Parts>(fingerprint).ok();
    let (Some(trained), Some(configured)) = (parts(trained), parts(configured)) else {
        return Agreement::Different;
    };
    let has_same_steps = trained.steps == configured.steps && trained.user_dict == configured.user_dict;
    if !has_same_steps || !trained.operators.keys().eq(configured.operators.keys()) {
        return Agreement::Different;
    }
    let pairs = trained.operators.iter().zip(configured.operators.values());
    let changed = pairs.filter(|((_, old), new)| old != new);
    Agreement::Versions(changed.map(|((name, old), new)| format!("{name} {old} -> {new}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CleanConfig;

    #[test]
    fn only_other_versions_of_the_same_steps_agree_in_part() {
        let now = CleanConfig::default().fingerprint();
        assert_eq!(agreement(&now, &now), Agreement::Same);
        let version = crate::registry::OPERATORS.iter().find(|o| o.name() == "strip_html").unwrap().version;
        let of = |version: u32| format!(r#""strip_html":{version}"#);
        let older = now.replace(&of(version), &of(version - 1));
        let expected = format!("strip_html {} -> {version}", version - 1);
        assert_eq!(agreement(&older, &now), Agreement::Versions(vec![expected]));
        let mut fewer = CleanConfig::default();
        fewer.steps.remove(0);
        assert_eq!(agreement(&fewer.fingerprint(), &now), Agreement::Different);
        assert_eq!(agreement("no json", &now), Agreement::Different);
    }
}
