//! A checked configuration, together with everything that was compiled from it.
//!
//! Contract: a run uses exactly what [`Config::validate`] compiled: cleaning steps, columns, predicates, partitions, table
//! schemas and the schema of messages. Nothing is compiled a second time.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use fenliu_config::Problems;
use fenliu_connectors::kafka::TopicsConfig;
use fenliu_connectors::outputs::{Output, RowColumns};
use fenliu_connectors::{Role, SinkKind};
use fenliu_decode::Decoder;
use fenliu_operators::Plan as CleaningPlan;
use fenliu_schemas::{LabelledOptions, MODEL_COLUMNS, dead_letter_schema, labelled_schema, raw};

use crate::config::Config;

/// A configuration in which all values are valid, with everything that was compiled from it.
#[derive(Debug)]
pub(crate) struct Plan {
    config: Config,
    /// The compiled cleaning steps.
    pub clean: Arc<CleaningPlan>,
    /// The schema of labelled rows: all columns that a sink can use, including those that are written only by sinks that
    /// name them.
    pub schema: SchemaRef,
    /// The decoder of messages or of rows of files.
    pub decoder: Decoder,
    /// All sinks and the output of dead letters.
    pub outputs: Vec<Output>,
}

impl Deref for Plan {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

impl Plan {
    /// Whether a cleaning step or an output uses the column `name` of raw rows, which is then collected.
    pub(crate) fn uses(&self, name: &str) -> bool {
        self.clean.uses(name) || self.outputs.iter().any(|output| output.uses(name))
    }
}

impl Config {
    /// Checks all values and compiles everything that a run needs; `origin` names the file in messages.
    ///
    /// # Errors
    /// All problems at once, each with key, value and bound.
    pub(crate) fn validate(self, origin: &str) -> Result<Plan, Problems> {
        let mut problems = Problems::new(origin);
        self.check(&mut problems);
        let decoder = self.compile_decoder(&mut problems);
        let clean = self.compile_cleaning(&mut problems);
        let mut outputs = vec![];
        // Sinks are compiled for the columns that cleaning produces; without those, every problem would be a
        // consequence of the first.
        if let Some(clean) = &clean {
            if self.has_model() {
                self.thresholds.check_columns(clean.schema(), &mut problems);
            }
            self.output.check_columns(clean.schema(), &mut problems);
            outputs = self.compile_sinks(clean, &mut problems);
        }
        outputs.extend(self.compile_dead_letters(&mut problems));
        match (clean, decoder) {
            (Some(clean), Some(decoder)) => {
                let schema = labelled_schema(clean.schema(), self.usable());
                let plan = Plan { config: self, clean: Arc::new(clean), schema, decoder, outputs };
                problems.into_result(plan)
            }
            _ => Err(problems),
        }
    }

    /// How Kafka outputs are written.
    pub(crate) fn topics(&self) -> TopicsConfig {
        TopicsConfig {
            kafka: self.kafka.clone(),
            delivery: self.epoch.delivery,
            source: self.source.group().cloned(),
            pipeline: self.name.clone(),
            // Readers of a topic expect rows sooner than readers of a table.
            max_age: self.epoch.max_age.min(self.epoch.kafka_max_age),
            limits: HashMap::new(),
        }
    }

    fn compile_decoder(&self, problems: &mut Problems) -> Option<Decoder> {
        if self.source.is_of_files() {
            return Some(Decoder::for_files(&self.documents));
        }
        match Decoder::try_new(&self.documents) {
            Ok(decoder) => Some(decoder),
            Err(error) => {
                // Without a schema file, the check of the values has already reported what is missing. A decoder of
                // another format then stands in, so that the cleaning steps and the sinks are checked, too.
                if self.documents.has_schema_file() {
                    problems.add("documents.schema", format!("cannot be used: {error}"));
                }
                (!self.documents.has_schema_file()).then(|| Decoder::json(&self.documents))
            }
        }
    }

    fn compile_cleaning(&self, problems: &mut Problems) -> Option<CleaningPlan> {
        match CleaningPlan::try_new(&self.clean, &raw::schema()) {
            Ok(plan) => Some(plan),
            Err(errors) => {
                errors.iter().for_each(|error| problems.add("clean", error.to_string()));
                None
            }
        }
    }

    /// Compiles the sinks for the rows that the cleaning steps produce.
    fn compile_sinks(&self, clean: &CleaningPlan, problems: &mut Problems) -> Vec<Output> {
        let options = self.labelled_options();
        let (outputs, found) = self.compile_sinks_for(clean, options);
        if options.unlabelled && !found.problems.is_empty() {
            // If the sinks would compile with the columns of a model, the missing model is the actual problem.
            let (_, with_model) =
                self.compile_sinks_for(clean, LabelledOptions { unlabelled: false, ..options });
            if with_model.problems.len() < found.problems.len() {
                let columns = MODEL_COLUMNS.join(", ");
                problems.add("model", format!("is not set, so rows have none of the columns {columns}"));
            }
        }
        problems.problems.extend(found.problems);
        outputs
    }

    fn compile_sinks_for(&self, clean: &CleaningPlan, options: LabelledOptions) -> (Vec<Output>, Problems) {
        let schema = labelled_schema(
            clean.schema(),
            LabelledOptions { unlabelled: options.unlabelled, ..self.usable() },
        );
        let default = names(&labelled_schema(clean.schema(), options));
        // A sink may name the Kafka columns, but a sink that names no columns gets them only if `output` asks for
        // them.
        let rows = RowColumns { schema: &schema, default: &default };
        let mut problems = Problems::default();
        let mut outputs = vec![];
        for (index, sink) in self.sinks.iter().enumerate() {
            let key = format!("sinks[{index}]");
            outputs.extend(compile(&key, &**sink, Role::Labelled, rows, &mut problems));
        }
        (outputs, problems)
    }

    /// The columns that sinks can use: also the optional ones that come from the message or from the model, whichever of
    /// them all sinks get; with a page the body, too, which it shows.
    fn usable(&self) -> LabelledOptions {
        let options = self.labelled_options();
        LabelledOptions {
            body: options.body || self.http.has_feed(),
            kafka_key: true,
            kafka_headers: true,
            payload: true,
            decode_warnings: true,
            threshold: true,
            truncated: true,
            ..options
        }
    }

    fn compile_dead_letters(&self, problems: &mut Problems) -> Option<Output> {
        let schema = dead_letter_schema();
        let rows = RowColumns { schema: &schema, default: &names(&schema) };
        compile("dead_letters", &*self.dead_letters, Role::DeadLetters, rows, problems)
    }
}

fn names(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

fn compile(
    key: &str,
    kind: &dyn SinkKind,
    role: Role,
    rows: RowColumns<'_>,
    problems: &mut Problems,
) -> Option<Output> {
    match Output::compile(key, kind, role, rows) {
        Ok(output) => Some(output),
        Err(found) => {
            problems.problems.extend(found.problems);
            None
        }
    }
}
