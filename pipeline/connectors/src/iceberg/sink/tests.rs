//! Real tables in a SQLite catalog on the local disk.

use fenliu_schemas::{
    Document, LabelledOptions, Offsets, Origin, Positions, Prediction, RawBuilder, TopicIdentity, Topics,
    label_rows, labelled_schema, raw,
};
use tempfile::TempDir;

use super::*;
use crate::iceberg::config::IcebergCatalogConfig;
use crate::iceberg::reader::IcebergReader;
use crate::reader::{Beginning, Reader};
use crate::selection::Role;
use fenliu_engine::Kind;

const TOPIC: &str = "news";

struct Lake {
    directory: TempDir,
}

impl Lake {
    fn new() -> Self {
        Lake { directory: tempfile::tempdir().unwrap() }
    }

    fn config(&self, partition_by: &[&str], columns: &[&str]) -> IcebergSinkConfig {
        let path = self.directory.path().display();
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        IcebergSinkConfig {
            partition_by: owned(partition_by),
            columns: owned(columns),
            catalog: IcebergCatalogConfig {
                uri: format!("sqlite:{path}/catalogs/catalog.db"),
                warehouse: format!("{path}/warehouse"),
                ..IcebergCatalogConfig::default()
            },
            ..IcebergSinkConfig::default()
        }
    }

    fn try_sink(&self, partition_by: &[&str], columns: &[&str]) -> Result<IcebergSink> {
        let config = self.config(partition_by, columns);
        let schema = labelled_schema(&raw::schema(), LabelledOptions::default());
        let columns = &config.columns;
        let selection = Selection::compile("sinks[0]", Role::Labelled, &schema, columns, None).unwrap();
        let table = CompiledTable::try_new(&config, "sinks[0]", selection.schema())?;
        IcebergSink::try_new(table, "p", Arc::new(selection))
    }

    fn sink(&self, partition_by: &[&str], columns: &[&str]) -> IcebergSink {
        self.try_sink(partition_by, columns).unwrap()
    }

    /// All offsets in the table.
    fn offsets(&self) -> Vec<i64> {
        let reader = IcebergReader::open(&self.config(&[], &[]), "p").unwrap();
        let mut offsets = vec![];
        reader.places(Some(&mut |place| offsets.extend(place.offset))).unwrap();
        offsets.sort_unstable();
        offsets
    }
}

/// Rows `first..next`, with labels that are no names of directories.
fn rows(first: i64, next: i64) -> Vec<Arc<Rows>> {
    let mut builder = RawBuilder::default();
    for offset in first..next {
        let origin = Origin { topic: TOPIC, partition: 0, offset, timestamp_ms: Some(1_700_000_000_123) };
        builder.append(origin, b"{}", &Ok(Document::default()));
    }
    let schema = labelled_schema(&raw::schema(), LabelledOptions::default());
    let labels = ["world/../..", "体育", ""];
    let predictions: Vec<_> = (first..next)
        .map(|n| Prediction {
            top: vec![(labels[n as usize % 3], 0.5), ("b", 0.25)],
            abstained: false,
            threshold: None,
            truncated: false,
        })
        .collect();
    let labelled =
        label_rows(&builder.finish().unwrap(), &predictions, &schema, ("m", "1"), 1_700_000_000_456);
    vec![Arc::new(Rows { labelled: labelled.unwrap(), dead_letters: vec![] })]
}

fn moves(sink: &mut IcebergSink, first: i64, next: i64) -> Moves {
    let mut covered = Offsets::default();
    covered.add(&TOPIC.into(), 0, first, next - 1);
    Moves::plan(&sink.positions(&[]).unwrap().positions, &covered).unwrap()
}

fn commit(sink: &mut IcebergSink, first: i64, next: i64) -> Result<()> {
    let moves = moves(sink, first, next);
    sink.commit(&rows(first, next), &moves)
}

#[test]
fn rows_of_every_type_are_written_and_positions_read_by_the_next_process() {
    let lake = Lake::new();
    let mut sink = lake.sink(&["label", "day(processed_at)"], &[]);
    assert_eq!(sink.positions(&[]).unwrap(), Stored::default());
    let mut start = Positions::default();
    start.set(&TOPIC.into(), 0, 0);
    let identity = TopicIdentity { id: Some("aWQ".into()), latest_below: Some(4) };
    let topics = Topics::from([(TOPIC.into(), identity)]);
    sink.commit(&[], &Moves::first(&start).with_topics(topics.clone())).unwrap();
    commit(&mut sink, 0, 10).unwrap();
    commit(&mut sink, 10, 30).unwrap();

    let mut next = lake.sink(&[], &[]);
    let stored = next.positions(&[]).unwrap();
    assert_eq!((stored.positions.get(TOPIC, 0), stored.topics), (Some(30), topics.clone()));
    commit(&mut next, 20, 35).unwrap();
    assert_eq!(lake.offsets(), (0..35).collect::<Vec<_>>());
    let reader = IcebergReader::open(&lake.config(&[], &[]), "p").unwrap();
    assert_eq!(reader.beginning(), Beginning::Recorded(start));
    assert_eq!(reader.topics(), topics);
}

#[test]
fn a_process_that_comes_too_late_adds_nothing() {
    let lake = Lake::new();
    let (mut zombie, mut successor) = (lake.sink(&[], &[]), lake.sink(&[], &[]));
    commit(&mut zombie, 0, 10).unwrap();
    let stale = moves(&mut zombie, 10, 20);
    commit(&mut successor, 10, 20).unwrap();
    assert_eq!(zombie.commit(&rows(10, 20), &stale).unwrap_err().kind(), Kind::Conflict);
    assert_eq!(lake.offsets(), (0..20).collect::<Vec<_>>());
}

/// The successor commits after the zombie has looked at the positions and before it commits.
#[test]
fn the_fence_refuses_what_the_library_would_add_again() {
    let lake = Lake::new();
    let (mut zombie, mut successor) = (lake.sink(&[], &[]), lake.sink(&[], &[]));
    commit(&mut zombie, 0, 10).unwrap();
    let stale = moves(&mut zombie, 10, 20);
    let IcebergSink { runtime, selection, target } = &mut zombie;
    let (catalog, table) = runtime.block_on(target.load()).unwrap();
    commit(&mut successor, 10, 20).unwrap();

    let batches = selection.select(&rows(10, 20)[0], &stale).unwrap();
    let append = |fence: bool| {
        runtime.block_on(async {
            let files = write::data_files(&table, &batches).await.unwrap();
            let transaction = Transaction::new(&table);
            let append = transaction.fast_append().add_data_files(files);
            let transaction = append.apply(transaction).unwrap();
            let fenced = FencedCatalog::new(catalog.as_ref(), "p", &stale);
            let by: &dyn Catalog = if fence { &fenced } else { catalog.as_ref() };
            (transaction.commit(by).await.is_ok(), fenced.has_moved())
        })
    };
    assert_eq!(append(true), (false, true));
    assert_eq!(lake.offsets(), (0..20).collect::<Vec<_>>());
    assert_eq!(append(false), (true, false), "the library makes a stale appending anew");
    assert_eq!(lake.offsets().len(), 30);
}

#[test]
fn what_does_not_fit_the_table_is_named() {
    let lake = Lake::new();
    let mut sink = lake.sink(&["label"], &["label", "score", "offset"]);
    commit(&mut sink, 0, 3).unwrap();
    for (partition_by, columns, problem) in [
        (&[][..], &["label", "score", "offset", "lang"][..], "no column `lang`"),
        (&[], &["label", "\"offset\" AS score", "offset"], "column `score` of type Float32"),
        (&[], &["lang AS label", "score", "offset"], "requires a value in `label`"),
        (&[], &["label", "score"], "requires a value in `offset`"),
        (&["score"], &["label", "score", "offset"], "is partitioned by [\"label\"]"),
    ] {
        let error = lake.sink(partition_by, columns).positions(&[]).expect_err(problem);
        assert!(!error.is_retryable(), "{columns:?}: {error:?}");
        assert!(error.to_string().contains(problem), "{columns:?}: {error}");
    }
    for partition_by in ["nowhere", "day(label)", "day(processed_at", "fortnight(processed_at)"] {
        let error = lake.try_sink(&[partition_by], &[]).err().unwrap();
        assert_eq!(error.kind(), Kind::Usage, "{partition_by}: {error}");
    }
}
