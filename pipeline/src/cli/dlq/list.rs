//! `fenliu dlq list`

use std::ops::ControlFlow;

use serde_json::json;

use super::rfc_3339;
use crate::cli::output;
use crate::dlq::{Filter, Group, Letters, Summary};
use crate::error::Result;

pub(super) fn list(letters: &Letters, filter: &Filter, as_json: bool) -> Result<()> {
    let mut summary = Summary::default();
    letters.read(filter, false, &mut |letter| {
        summary.add(letter);
        Ok(ControlFlow::Continue(()))
    })?;
    let groups = summary.groups();
    if as_json {
        let group = |group: &Group| {
            json!({
                "topic": group.topic, "stage": group.stage, "reason": group.reason, "count": group.count,
                "first": group.first_ms.and_then(rfc_3339), "last": group.last_ms.and_then(rfc_3339),
            })
        };
        let groups: Vec<_> = groups.iter().map(group).collect();
        return output::json(&json!({ "total": summary.total(), "groups": groups }));
    }
    if groups.is_empty() {
        output::note("no dead letters");
        return Ok(());
    }
    let time = |millis: Option<i64>| millis.and_then(rfc_3339).unwrap_or_default();
    let rows = groups.into_iter().map(|group| {
        let (first, last) = (time(group.first_ms), time(group.last_ms));
        [group.topic, group.stage, group.reason, group.count.to_string(), first, last]
    });
    output::table(&["topic", "stage", "reason", "count", "first", "last"], rows)?;
    output::note(format!("{} dead letters", summary.total()));
    Ok(())
}
