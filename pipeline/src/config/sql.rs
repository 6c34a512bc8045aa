//! Checks every SQL text, and every column that is named, against the rows that it will see.

use arrow::datatypes::SchemaRef;
use fenliu_operators::{Plan, Projection, Step};
use fenliu_schemas::{LabelledOptions, MODEL_COLUMNS, dead_letter_schema, labelled_schema, raw};

use super::{Config, DeadLetterConfig, Problems, SinkConfig};
use crate::sink::Partitioning;

impl Config {
    /// Which columns written rows have.
    pub fn labelled_options(&self) -> LabelledOptions {
        let (body, tokens) = (self.output.body, self.output.tokens);
        LabelledOptions { body, tokens, unlabelled: !self.has_model() }
    }

    pub(super) fn check_sql(&self, problems: &mut Problems) {
        let segments = |step: &Step| matches!(step, Step::Operator(name) if name == "segment");
        if self.output.tokens && !self.clean.steps.iter().any(segments) {
            problems
                .add("output.tokens", "is true but `clean.steps` has no `segment`, which makes the tokens");
        }
        match Plan::try_new(&self.clean, &raw::schema()) {
            Ok(plan) => self.check_columns(&plan, problems),
            Err(errors) => errors.iter().for_each(|error| problems.add("clean", error.to_string())),
        }
        self.check_dead_letter_columns(problems);
    }

    /// The columns and predicates of all sinks, over the rows that `plan` cleans.
    fn check_columns(&self, plan: &Plan, problems: &mut Problems) {
        let found = |options| {
            let (rows, mut found) = (labelled_schema(plan.schema(), options), Problems::default());
            for (index, sink) in self.sinks.iter().enumerate() {
                check_sink(sink, &format!("sinks[{index}]"), &rows, &mut found);
            }
            found.problems
        };
        let options = self.labelled_options();
        let without_model = found(options);
        if options.unlabelled
            && !without_model.is_empty()
            && found(LabelledOptions { unlabelled: false, ..options }).len() < without_model.len()
        {
            let columns = MODEL_COLUMNS.join(", ");
            problems.add("model", format!("is not there, so rows have none of the columns {columns}"));
        }
        problems.problems.extend(without_model);
    }

    fn check_dead_letter_columns(&self, problems: &mut Problems) {
        let (columns, filter, by) = match &self.dead_letters {
            DeadLetterConfig::Files(files) => {
                (&files.columns, files.filter.as_deref(), &files.partition_by[..])
            }
            DeadLetterConfig::Kafka(kafka) => (&kafka.columns, kafka.filter.as_deref(), &[][..]),
        };
        check_selection("dead_letters", &dead_letter_schema(), columns, filter, by, problems);
        if filter.is_some() {
            problems.add("dead_letters.where", "would lose documents: dead letters are written whole");
        }
    }
}

/// What one sink makes of `rows`.
fn check_sink(sink: &SinkConfig, key: &str, rows: &SchemaRef, problems: &mut Problems) {
    check_selection(key, rows, sink.columns(), sink.filter(), sink.partition_by(), problems);
    match sink {
        SinkConfig::Delta(table) => {
            if let Ok(rows) = Projection::try_new(rows, &table.columns, None) {
                table.check_columns(key, rows.schema(), problems);
            }
        }
        #[cfg(feature = "iceberg")]
        SinkConfig::Iceberg(table) => {
            if let Ok(rows) = Projection::try_new(rows, &table.columns, None)
                && let Err(problem) = crate::sink::check_iceberg_columns(table, rows.schema())
            {
                problems.add(key, problem);
            }
        }
        _ => {}
    }
}

/// A selection of `rows`, apart by the columns `by`.
fn check_selection(
    key: &str,
    rows: &SchemaRef,
    columns: &[String],
    filter: Option<&str>,
    by: &[String],
    problems: &mut Problems,
) {
    match Projection::try_new(rows, columns, filter) {
        Err(errors) => errors.iter().for_each(|error| problems.add(key, error.to_string())),
        Ok(rows) => {
            if let Err(problem) = Partitioning::try_new(rows.schema(), by) {
                problems.add(format!("{key}.partition_by"), problem);
            }
        }
    }
}
