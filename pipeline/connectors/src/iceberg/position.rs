//! Positions as properties of a table: `fenliu.position/PIPELINE/TOPIC/PARTITION` is the next offset,
//! `fenliu.beginning/...` the offset that the pipeline began with. `fenliu.topic/PIPELINE/TOPIC` is what identifies the
//! topic, as JSON.
//!
//! One property for each partition: processes that share the partitions of a pipeline move only their own.

use std::collections::HashMap;
use std::sync::Arc;

use fenliu_engine::position::Moves;
use fenliu_engine::{Error, Result};
use fenliu_schemas::{Positions, Topics};
use iceberg::table::Table;

const POSITION: &str = "fenliu.position";
const BEGINNING: &str = "fenliu.beginning";
const TOPIC: &str = "fenliu.topic";

/// The positions of `pipeline` in `table`: the next offset of each partition.
///
/// # Errors
/// A property that is not an offset: it was changed by hand.
pub(super) fn positions(table: &Table, pipeline: &str) -> Result<Positions> {
    parse(table.metadata().properties(), POSITION, pipeline)
}

/// The first positions that `pipeline` had in `table`.
///
/// # Errors
/// A property that is not an offset: it was changed by hand.
pub(super) fn beginnings(table: &Table, pipeline: &str) -> Result<Positions> {
    parse(table.metadata().properties(), BEGINNING, pipeline)
}

/// The identities of topics that `pipeline` has stored in `table`.
///
/// # Errors
/// A property that is not an identity: it was changed by hand.
pub(super) fn topics(table: &Table, pipeline: &str) -> Result<Topics> {
    parse_topics(table.metadata().properties(), pipeline)
}

/// The properties that make `moves`.
///
/// # Errors
/// None in practice: an identity is a text and a number.
pub(super) fn properties(pipeline: &str, moves: &Moves) -> Result<HashMap<String, String>> {
    let mut properties = HashMap::new();
    for m in moves.iter() {
        let key = |kind| format!("{}{}/{}", prefix(kind, pipeline), m.topic, m.partition);
        properties.insert(key(POSITION), m.to.to_string());
        if m.from.is_none() {
            properties.insert(key(BEGINNING), m.to.to_string());
        }
    }
    for (topic, identity) in moves.topics() {
        let text = serde_json::to_string(identity).map_err(|error| Error::internal(error.to_string()))?;
        properties.insert(format!("{}{topic}", prefix(TOPIC, pipeline)), text);
    }
    Ok(properties)
}

fn parse_topics(properties: &HashMap<String, String>, pipeline: &str) -> Result<Topics> {
    let prefix = prefix(TOPIC, pipeline);
    let mut topics = Topics::new();
    for (key, value) in properties {
        let Some(topic) = key.strip_prefix(&prefix) else { continue };
        let identity = serde_json::from_str(value).map_err(|error| {
            Error::input(format!("the table's property `{key}` does not identify a topic: {error}"))
        })?;
        topics.insert(topic.into(), identity);
    }
    Ok(topics)
}

fn parse(properties: &HashMap<String, String>, kind: &str, pipeline: &str) -> Result<Positions> {
    let prefix = prefix(kind, pipeline);
    let mut positions = Positions::default();
    for (key, value) in properties {
        let Some(place) = key.strip_prefix(&prefix) else { continue };
        let parsed = place.rsplit_once('/').and_then(|(topic, partition)| {
            Some((Arc::from(topic), partition.parse().ok()?, value.parse().ok()?))
        });
        // An error, and not a missing position: with that the sink would start from the beginning and write its rows twice.
        let Some((topic, partition, next)) = parsed else {
            return Err(Error::input(format!(
                "the table's property `{key}` is `{value}`, which is no offset of a partition"
            )));
        };
        positions.set(&topic, partition, next);
    }
    Ok(positions)
}

/// The prefix of a pipeline's properties. Slashes in its name are escaped: otherwise the properties of the pipeline
/// `a/b` would also be those of `a`, for topics that begin with `b/`. A topic may hold slashes, as paths of files do,
/// since it ends at the last one.
fn prefix(kind: &str, pipeline: &str) -> String {
    format!("{kind}/{}/", pipeline.replace('%', "%25").replace('/', "%2F"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fenliu_schemas::{Offsets, TopicIdentity};

    #[test]
    fn what_is_written_reads_back_and_pipelines_do_not_mix() {
        let topic: Arc<str> = "/data/in/news.jsonl".into();
        let mut stored = Positions::default();
        stored.set(&topic, 3, 40);
        let first = Moves::first(&stored);
        let mut covered = Offsets::default();
        covered.add(&topic, 3, 40, 49);
        let next = Moves::plan(&stored, &covered).unwrap();

        let mut all = properties("a/b", &first).unwrap();
        all.extend(properties("a", &next).unwrap());
        all.extend(properties("a/b", &next).unwrap());
        assert_eq!(parse(&all, POSITION, "a/b").unwrap(), next.ends());
        assert_eq!(parse(&all, BEGINNING, "a/b").unwrap(), stored);
        assert_eq!(parse(&all, POSITION, "a").unwrap(), next.ends());
        assert_eq!(parse(&all, POSITION, "b").unwrap(), Positions::default());
    }

    #[test]
    fn topics_are_kept_by_pipeline_and_a_changed_property_is_an_error() {
        let identity = TopicIdentity { id: Some("aWQ".into()), latest_below: Some(2) };
        let topics = Topics::from([("news".into(), identity)]);
        let mut all = properties("a/b", &Moves::default().with_topics(topics.clone())).unwrap();
        assert_eq!(parse_topics(&all, "a/b").unwrap(), topics);
        assert_eq!(parse_topics(&all, "a").unwrap(), Topics::new());
        all.insert("fenliu.topic/a/news".into(), "many".into());
        let error = parse_topics(&all, "a").unwrap_err().to_string();
        assert!(error.contains("fenliu.topic/a/news"), "{error}");
    }

    #[test]
    fn a_property_that_is_no_offset_is_an_error_and_no_beginning_anew() {
        let properties = HashMap::from([("fenliu.position/a/news/0".to_owned(), "many".to_owned())]);
        let error = parse(&properties, POSITION, "a").unwrap_err().to_string();
        assert!(error.contains("fenliu.position/a/news/0") && error.contains("many"), "{error}");
    }
}
