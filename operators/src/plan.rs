//! A compiled cleaning configuration: raw rows in, the same number of cleaned rows out, in the same order.
//!
//! The plan runs on one bounded batch at a time and keeps nothing between batches, so the result does not
//! depend on where a stream was cut into batches. A document that does not pass becomes a row with
//! `reject_stage` = `clean` and a `reject_reason`. A row keeps its first reason, and a row that an earlier
//! stage rejected stays as it is. Rejected rows go through the remaining steps like all others. Steps see the
//! reject columns as they were in the input.
//!
//! | reason | when |
//! |---|---|
//! | the step's own | the predicate of a `{ reject, when }` step is true |
//! | `clean_error` | the SQL of a step fails on the row, e.g. in a cast; the column keeps its value |
//! | `empty_text` | the cleaned title and body are shorter than `min_chars` |
//! | `language` | `lang` is not in `languages` |

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fenliu_schemas::is_settable;
use fenliu_text::is_blank_character;

use crate::dictionary::read_dictionary;
use crate::registry::{OPERATORS, Operator};
use crate::rejections::{REJECT_COLUMNS, Rejections};
use crate::sql::{Compiler, Expression, RequiredType};
use crate::{CleanConfig, OperatorError, Step};

const NOT_SETTABLE: &str = "cleaning cannot set this column: it belongs to the lineage or to the model, or the \
                            name is empty";

const INVALID_REASON: &str = "a reason must consist of lower-case letters, digits and `_`, because metrics use \
                              it as a label";

/// A compiled [`CleanConfig`].
#[derive(Clone, Debug)]
pub struct Plan {
    input: SchemaRef,
    schema: SchemaRef,
    steps: Vec<CompiledStep>,
    languages: Vec<String>,
    reject_undetermined: bool,
    min_chars: usize,
}

/// One assignment or one rule of the configuration. An operator that sets two columns becomes two steps.
#[derive(Clone, Debug)]
enum CompiledStep {
    /// Sets the column at `index`, or adds it there if it is new; the rows then have `schema`.
    Set { index: usize, schema: SchemaRef, expression: Expression },
    /// Rejects the rows for which `when` is true.
    Reject { reason: String, when: Expression },
}

impl Plan {
    /// Compiles `config` for rows of schema `input`, usually `fenliu_schemas::raw::schema()`.
    ///
    /// # Errors
    /// All problems of the configuration at once: unknown operators, SQL that does not compile or needs more
    /// than one row, columns that cleaning may not set, a user dictionary that cannot be read, languages
    /// without a step that sets `lang`.
    pub fn try_new(config: &CleanConfig, input: &Schema) -> Result<Self, Vec<OperatorError>> {
        let mut problems = missing_columns(input);
        problems.extend(check_languages(config));
        let dictionary = config.user_dict.as_deref().map(read_dictionary);
        let segmenter = dictionary.transpose().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let mut builder = PlanBuilder {
            compiler: Compiler::new(segmenter.unwrap_or_default()),
            schema: Arc::new(input.clone()),
            steps: Vec::new(),
            problems,
        };
        for (position, step) in config.steps.iter().enumerate() {
            builder.add(&format!("steps[{position}]"), step);
        }
        if !builder.problems.is_empty() {
            return Err(builder.problems);
        }
        Ok(Plan {
            input: Arc::new(input.clone()),
            schema: builder.schema,
            steps: builder.steps,
            languages: config.languages.clone(),
            reject_undetermined: config.reject_undetermined,
            min_chars: config.min_chars,
        })
    }

    /// The schema of cleaned rows: the columns of the input, then those that steps added.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether a step reads the column `name`.
    pub fn uses(&self, name: &str) -> bool {
        self.steps.iter().any(|step| step.expression().uses(name))
    }

    /// Cleans one batch.
    ///
    /// # Errors
    /// [`OperatorError::BatchSchema`] if the batch has other columns than the plan was compiled for, and
    /// [`OperatorError::Arrow`] if Arrow cannot hold the result. The content of a document never causes an
    /// error.
    pub fn run(&self, batch: &RecordBatch) -> Result<RecordBatch, OperatorError> {
        if batch.schema().fields() != self.input.fields() {
            let (expected, found) = (column_list(&self.input), column_list(&batch.schema()));
            return Err(OperatorError::BatchSchema { expected, found });
        }
        let mut rejections = Rejections::of(batch);
        let mut rows = batch.clone();
        for step in &self.steps {
            rows = step.run(rows, &mut rejections)?;
        }
        self.reject_short(&rows, &mut rejections)?;
        self.reject_languages(&rows, &mut rejections)?;
        rejections.write(rows)
    }

    /// Rejects rows whose title and body have fewer than `min_chars` characters that show something.
    fn reject_short(&self, rows: &RecordBatch, rejections: &mut Rejections) -> Result<(), OperatorError> {
        let parts = [text_column(rows, "title")?, text_column(rows, "body")?];
        for row in 0..rows.num_rows() {
            let texts = parts.iter().filter(|part| part.is_valid(row)).map(|part| part.value(row));
            // Counting stops at `min_chars`, so long texts cost no more than short ones.
            let characters = texts.flat_map(str::chars).filter(|character| !is_blank_character(*character));
            let count = characters.take(self.min_chars).count();
            if count < self.min_chars {
                let detail = || Some(format!("{count} characters, at least {} are required", self.min_chars));
                rejections.reject(row, "empty_text", detail);
            }
        }
        Ok(())
    }

    /// Rejects rows whose `lang` is not among the languages to keep. A language that cannot be told from the text is no
    /// reason for a rejection, unless the configuration asks for it.
    fn reject_languages(&self, rows: &RecordBatch, rejections: &mut Rejections) -> Result<(), OperatorError> {
        if self.languages.is_empty() {
            return Ok(());
        }
        for (row, lang) in text_column(rows, "lang")?.iter().enumerate() {
            // A text without a language is undetermined.
            let lang = lang.unwrap_or(UNDETERMINED);
            let is_let_through = lang == UNDETERMINED && !self.reject_undetermined;
            if !is_let_through && !self.languages.iter().any(|wanted| wanted == lang) {
                let detail = || Some(format!("`{lang}` is not one of {}", self.languages.join(", ")));
                rejections.reject(row, "language", detail);
            }
        }
        Ok(())
    }
}

impl CompiledStep {
    /// The SQL of the step.
    fn expression(&self) -> &Expression {
        let (CompiledStep::Set { expression, .. } | CompiledStep::Reject { when: expression, .. }) = self;
        expression
    }

    /// Runs the step on the rows that the steps before it left.
    fn run(&self, rows: RecordBatch, rejections: &mut Rejections) -> Result<RecordBatch, OperatorError> {
        let expression = self.expression();
        let (values, failures) = expression.evaluate_each(&rows)?;
        // The row keeps the old value of the column and goes through the remaining steps, as all rejected rows do.
        for (row, problem) in &failures {
            rejections.reject(*row, "clean_error", || Some(format!("`{}`: {problem}", expression.sql)));
        }
        match self {
            CompiledStep::Set { index, schema, .. } => {
                let failed: Vec<usize> = failures.into_iter().map(|(row, _)| row).collect();
                set_column(&rows, *index, schema, values, &failed)
            }
            CompiledStep::Reject { reason, .. } => {
                for (row, is_true) in values.as_boolean().iter().enumerate() {
                    if is_true == Some(true) {
                        rejections.reject(row, reason, || None);
                    }
                }
                Ok(rows)
            }
        }
    }
}

/// Replaces or adds a column. The rows in `failed`, which is sorted, keep the old value; it is null in a new
/// column.
fn set_column(
    rows: &RecordBatch,
    index: usize,
    schema: &SchemaRef,
    values: ArrayRef,
    failed: &[usize],
) -> Result<RecordBatch, OperatorError> {
    let mut columns = rows.columns().to_vec();
    match columns.get_mut(index) {
        Some(column) if failed.is_empty() => *column = values,
        Some(column) => {
            let is_failed = |row| Some(failed.binary_search(&row).is_ok());
            let is_failed: BooleanArray = (0..rows.num_rows()).map(is_failed).collect();
            *column = zip(&is_failed, column, &values)?;
        }
        None => columns.push(values),
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The columns of `schema` with their types, for messages.
fn column_list(schema: &Schema) -> String {
    let columns = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
    columns.collect::<Vec<_>>().join(", ")
}

fn text_column<'a>(rows: &'a RecordBatch, name: &'static str) -> Result<&'a StringArray, OperatorError> {
    let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.ok_or_else(|| OperatorError::Column {
        column: name,
        expected: "Utf8",
        found: "it is missing or of another type".to_owned(),
    })
}

/// Compiles steps one after the other, each over the columns that the steps before it left.
///
/// A problem does not end the compilation, so that all of them are reported at once.
struct PlanBuilder {
    compiler: Compiler,
    schema: SchemaRef,
    steps: Vec<CompiledStep>,
    problems: Vec<OperatorError>,
}

impl PlanBuilder {
    fn add(&mut self, key: &str, step: &Step) {
        match step {
            Step::Operator(name) => match OPERATORS.iter().find(|operator| operator.name() == name) {
                Some(operator) => self.add_operator(key, operator),
                None => self.problems.push(unknown_operator(key, name)),
            },
            Step::Column { column, .. } if column.is_empty() || !is_settable(column) => {
                self.problems.push(OperatorError::Setting {
                    key: format!("{key}.column"),
                    value: column.clone(),
                    problem: NOT_SETTABLE.to_owned(),
                });
            }
            Step::Column { column, sql } => self.add_column(&format!("{key}.sql"), column, sql),
            Step::Reject { reject, when } => self.add_reject(key, reject, when),
        }
    }

    fn add_operator(&mut self, key: &str, operator: &Operator) {
        for (column, sql) in operator.sets {
            self.add_column(key, column, sql);
        }
    }

    /// Adds a step that sets `column` to `sql`.
    fn add_column(&mut self, key: &str, column: &str, sql: &str) {
        let index = self.schema.index_of(column).unwrap_or(self.schema.fields().len());
        let existing = self.schema.fields().get(index);
        let required =
            existing.map_or(RequiredType::Any, |field| RequiredType::Exactly(field.data_type().clone()));
        let compiled = self.compiler.compile(key, sql, &self.schema, &required);
        let mut fields = self.schema.fields().to_vec();
        let field = |data_type: &DataType| Arc::new(Field::new(column, data_type.clone(), true));
        match (&compiled, fields.get_mut(index)) {
            (Ok(expression), Some(slot)) => *slot = field(&expression.data_type),
            (Ok(expression), None) => fields.push(field(&expression.data_type)),
            (Err(_), Some(_)) => {}
            // The column counts as null from here on, so that later steps that use it are not reported too.
            (Err(_), None) => fields.push(field(&DataType::Null)),
        }
        self.schema = Arc::new(Schema::new_with_metadata(fields, self.schema.metadata().clone()));
        match compiled {
            Ok(expression) => {
                self.steps.push(CompiledStep::Set { index, schema: Arc::clone(&self.schema), expression });
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Adds a step that rejects rows for which `when` is true.
    fn add_reject(&mut self, key: &str, reason: &str, when: &str) {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if reason.is_empty() || !reason.chars().all(is_allowed) {
            self.problems.push(OperatorError::Setting {
                key: format!("{key}.reject"),
                value: reason.to_owned(),
                problem: INVALID_REASON.to_owned(),
            });
        }
        match self.compiler.compile(&format!("{key}.when"), when, &self.schema, &RequiredType::Boolean) {
            Ok(when) => self.steps.push(CompiledStep::Reject { reason: reason.to_owned(), when }),
            Err(problem) => self.problems.push(problem),
        }
    }
}

fn unknown_operator(key: &str, name: &str) -> OperatorError {
    let known: Vec<&str> = OPERATORS.iter().map(Operator::name).collect();
    OperatorError::UnknownOperator { key: key.to_owned(), name: name.to_owned(), known: known.join(", ") }
}

/// A problem for each column that every plan reads or writes and that `input` lacks, or does not have as
/// text.
fn missing_columns(input: &Schema) -> Vec<OperatorError> {
    let needed = ["title", "body", "lang"].into_iter().chain(REJECT_COLUMNS);
    let problem = |column| {
        let found = match input.field_with_name(column) {
            Ok(field) if field.data_type() == &DataType::Utf8 => return None,
            Ok(field) => format!("it is {}", field.data_type()),
            Err(_) => "it is missing".to_owned(),
        };
        Some(OperatorError::Column { column, expected: "Utf8", found })
    };
    needed.filter_map(problem).collect()
}

/// The code of a language that cannot be told.
const UNDETERMINED: &str = "und";

/// The problems of the languages to keep: codes that are invalid, or no step that sets `lang`.
fn check_languages(config: &CleanConfig) -> Vec<OperatorError> {
    let setting = |value: &str, problem: &str| OperatorError::Setting {
        key: "languages".to_owned(),
        value: value.to_owned(),
        problem: problem.to_owned(),
    };
    let is_code = |code: &String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase());
    let invalid = config.languages.iter().filter(|code| !is_code(code) && *code != "und");
    let mut problems: Vec<OperatorError> =
        invalid.map(|code| setting(code, "must be an ISO 639-1 code such as `zh`, or `und`")).collect();
    let sets_lang = config.steps.iter().any(|step| match step {
        Step::Operator(name) => name == "detect_lang",
        Step::Column { column, .. } => column == "lang",
        Step::Reject { .. } => false,
    });
    if !config.languages.is_empty() && !sets_lang {
        problems
            .push(setting(&config.languages.join(", "), "no step sets `lang`; add `detect_lang` to `steps`"));
    }
    problems
}

#[cfg(test)]
mod tests;
