//! What a sink writes: selected rows, with selected columns or SQL expressions over them. A sink can also ask for
//! values of the same rows that are not columns of the result, such as the key of a message (`beside`).

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use fenliu_text::Segmenter;

use crate::OperatorError;
use crate::sql::{Compiler, Expression, RequiredType};

/// A compiled selection of columns and rows.
///
/// Rows keep their order. Text is `Utf8`, whichever string type an expression gives.
#[derive(Clone, Debug)]
pub struct Projection {
    input: SchemaRef,
    schema: SchemaRef,
    columns: Vec<Output>,
    beside: Vec<Output>,
    filter: Option<Expression>,
}

/// One column of the result.
#[derive(Clone, Debug)]
enum Output {
    /// The input's column at this position, unchanged.
    Column(usize),
    /// The value of an expression.
    Computed(Expression),
}

impl Projection {
    /// Compiles a projection of rows of `schema`.
    ///
    /// Each of `columns` is a column's name or `expression AS name`. If `columns` is empty, all columns are
    /// kept. `filter` is a SQL predicate; rows for which it is false or null are dropped.
    ///
    /// # Errors
    /// All problems at once: unknown columns or functions, expressions without a name, repeated names, SQL
    /// that needs more than one row, a filter that is not boolean.
    pub fn try_new(
        schema: &SchemaRef,
        columns: &[String],
        filter: Option<&str>,
    ) -> Result<Self, Vec<OperatorError>> {
        let compiler = Compiler::new(Segmenter::default());
        let (mut fields, mut outputs, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for (position, column) in columns.iter().enumerate() {
            match output(&compiler, &format!("columns[{position}]"), column, schema) {
                Ok((field, output)) => {
                    fields.push(field);
                    outputs.push(output);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if columns.is_empty() {
            fields = schema.fields().to_vec();
            outputs = (0..fields.len()).map(Output::Column).collect();
        }
        problems.extend(repeated_names(&fields));
        let filter = filter.map(|sql| compiler.compile("where", sql, schema, &RequiredType::Boolean));
        let filter = filter.transpose().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let input = Arc::clone(schema);
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        Ok(Projection { input, schema, columns: outputs, beside: vec![], filter })
    }

    /// Adds the column `name` of the input to what [`apply_beside`](Self::apply_beside) returns.
    ///
    /// # Errors
    /// The input has no such column.
    pub fn with_column_beside(mut self, name: &str) -> Result<Self, OperatorError> {
        self.beside.push(Output::Column(self.input.index_of(name)?));
        Ok(self)
    }

    /// Adds the value of `sql`, which is text (`Utf8`) or bytes (`Binary`), to what [`apply_beside`](Self::apply_beside)
    /// returns; `key` is the setting that holds the SQL.
    ///
    /// # Errors
    /// SQL that does not compile, needs more than one row, or has values of another type.
    pub fn with_bytes_beside(mut self, key: &str, sql: &str) -> Result<Self, OperatorError> {
        let compiler = Compiler::new(Segmenter::default());
        self.beside.push(Output::Computed(compiler.compile(key, sql, &self.input, &RequiredType::Bytes)?));
        Ok(self)
    }

    /// Whether the result depends on the column `name` of the input.
    pub fn uses(&self, name: &str) -> bool {
        let index = self.input.index_of(name).ok();
        let is_used = |output: &Output| match output {
            Output::Column(column) => index == Some(*column),
            Output::Computed(expression) => expression.uses(name),
        };
        self.columns.iter().chain(&self.beside).any(is_used)
            || self.filter.as_ref().is_some_and(|filter| filter.uses(name))
    }

    /// The schema of the result.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Projects one batch of the schema that this projection was compiled for.
    ///
    /// # Errors
    /// [`OperatorError::Evaluate`] if an expression fails on a row that passes the filter, e.g. in a cast
    /// (`try_cast` gives null instead). [`OperatorError::Arrow`] if the batch has another schema.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, OperatorError> {
        self.project(&self.filtered(batch)?)
    }

    /// As [`apply`](Self::apply), and also returns the columns and expressions that were added beside the result, in
    /// the order in which they were added. Each array has one value for each row of the result.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_beside(&self, batch: &RecordBatch) -> Result<(RecordBatch, Vec<ArrayRef>), OperatorError> {
        let rows = self.filtered(batch)?;
        let beside = self.beside.iter().map(|output| output.values(&rows)).collect::<Result<_, _>>()?;
        Ok((self.project(&rows)?, beside))
    }

    /// The rows that pass the filter.
    fn filtered(&self, batch: &RecordBatch) -> Result<RecordBatch, OperatorError> {
        match &self.filter {
            Some(filter) => Ok(filter_record_batch(batch, evaluate(filter, batch)?.as_boolean())?),
            None => Ok(batch.clone()),
        }
    }

    fn project(&self, rows: &RecordBatch) -> Result<RecordBatch, OperatorError> {
        let columns = self.columns.iter().map(|output| output.values(rows)).collect::<Result<Vec<_>, _>>()?;
        // Without columns, Arrow cannot know the number of rows.
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

impl Output {
    /// The values for `rows`.
    fn values(&self, rows: &RecordBatch) -> Result<ArrayRef, OperatorError> {
        match self {
            // `project` returns an error if the batch has no such column, where `column` alone would panic.
            Output::Column(index) => Ok(Arc::clone(rows.project(&[*index])?.column(0))),
            Output::Computed(expression) => evaluate(expression, rows),
        }
    }
}

fn evaluate(expression: &Expression, rows: &RecordBatch) -> Result<ArrayRef, OperatorError> {
    let failed = |source| OperatorError::Evaluate { sql: expression.sql.clone(), source };
    expression.evaluate(rows).map_err(failed)
}

/// The result's column for one entry of `columns`, which is the name of a column or a named expression.
fn output(
    compiler: &Compiler,
    key: &str,
    column: &str,
    schema: &SchemaRef,
) -> Result<(Arc<Field>, Output), OperatorError> {
    if let Some((index, field)) = schema.column_with_name(column) {
        return Ok((Arc::new(field.clone()), Output::Column(index)));
    }
    let expression = compiler.compile(key, column, schema, &RequiredType::Any)?;
    let Some(name) = &expression.name else {
        return Err(OperatorError::Sql {
            key: key.to_owned(),
            sql: column.to_owned(),
            problem: "an expression needs a name: write `expression AS name`".to_owned(),
        });
    };
    let field = Field::new(name, expression.data_type.clone(), true);
    Ok((Arc::new(field), Output::Computed(expression)))
}

/// A problem for each field whose name an earlier field has.
fn repeated_names(fields: &[Arc<Field>]) -> Vec<OperatorError> {
    let mut seen = HashSet::new();
    let repeated = fields.iter().filter(|field| !seen.insert(field.name()));
    let problem = |field: &Arc<Field>| OperatorError::Setting {
        key: "columns".to_owned(),
        value: field.name().clone(),
        problem: "another column has the same name; rename one of them with `AS`".to_owned(),
    };
    repeated.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, Int32Array, StringArray};
    use arrow::datatypes::DataType;

    fn rows() -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("score", DataType::Int32, true),
        ]);
        let ids = StringArray::from(vec!["a", "b", "c"]);
        let scores = Int32Array::from(vec![Some(90), None, Some(10)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), Arc::new(scores)]).unwrap()
    }

    fn projected(columns: &[&str], filter: Option<&str>) -> RecordBatch {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let projection = Projection::try_new(&rows().schema(), &columns, filter).unwrap();
        let result = projection.apply(&rows()).unwrap();
        assert_eq!(&result.schema(), projection.schema());
        result
    }

    #[test]
    fn an_empty_list_of_columns_keeps_all_of_them() {
        assert_eq!(projected(&[], None), rows());
    }

    #[test]
    fn a_row_whose_predicate_is_null_is_dropped() {
        let result = projected(&["id"], Some("score < 95"));
        assert_eq!(result.column(0).as_string::<i32>(), &StringArray::from(vec!["a", "c"]));
    }

    #[test]
    fn expressions_are_named_and_text_is_utf8() {
        let result = projected(&["score + 1 AS next", "upper(substr(id, 1, 1)) AS letter", "id"], None);
        assert_eq!(result.schema().field(1), &Field::new("letter", DataType::Utf8, true));
        assert_eq!(result.column(1).as_string::<i32>(), &StringArray::from(vec!["A", "B", "C"]));
        assert!(result.column(0).is_null(1));
    }

    #[test]
    fn expressions_see_only_rows_that_pass_the_filter() {
        let result = projected(&["100 / (score - 10) AS ratio"], Some("score > 10"));
        assert_eq!(result.num_rows(), 1);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let columns = ["id", "id", "score + 1", "missing", "count(id) AS n"].map(str::to_owned);
        let problems = Projection::try_new(&rows().schema(), &columns, Some("score")).unwrap_err();
        let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for part in ["`columns` is `id`", "AS name", "missing", "aggregate", "`where` has", "must be boolean"]
        {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert_eq!(problems.len(), 5, "{text}");
    }

    #[test]
    fn values_beside_the_columns_belong_to_the_rows_that_pass_the_filter() {
        let columns = ["score".to_owned()];
        let projection = Projection::try_new(&rows().schema(), &columns, Some("score < 95")).unwrap();
        let projection = projection.with_column_beside("id").unwrap();
        let projection = projection.with_bytes_beside("key.sql", "upper(id) || '!'").unwrap();
        let (result, beside) = projection.apply_beside(&rows()).unwrap();
        assert_eq!(&result.schema(), projection.schema(), "the columns stay as they are");
        let [ids, keys] = beside.as_slice() else { panic!("{} columns", beside.len()) };
        assert_eq!(ids.as_string::<i32>(), &StringArray::from(vec!["a", "c"]));
        assert_eq!(keys.as_string::<i32>(), &StringArray::from(vec!["A!", "C!"]));
        assert_eq!(projection.apply(&rows()).unwrap(), result);
    }

    #[test]
    fn a_key_is_text_or_binary() {
        let projection = Projection::try_new(&rows().schema(), &[], None).unwrap();
        let projection = projection.with_bytes_beside("key.sql", "encode(id, 'hex')").unwrap();
        let projection = projection.with_bytes_beside("key.sql", "arrow_cast(id, 'BinaryView')").unwrap();
        let types: Vec<DataType> =
            projection.apply_beside(&rows()).unwrap().1.iter().map(|keys| keys.data_type().clone()).collect();
        assert_eq!(types, [DataType::Utf8, DataType::Binary]);
        let problem = projection.with_bytes_beside("key.sql", "score").unwrap_err().to_string();
        for part in ["`key.sql` has the SQL `score`", "text or binary", "Int32"] {
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn it_is_known_which_columns_are_used() {
        let used = |columns: &[&str], filter| {
            let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
            let projection = Projection::try_new(&rows().schema(), &columns, filter).unwrap();
            ["id", "score", "other"].map(|name| projection.uses(name))
        };
        assert_eq!(used(&[], None), [true, true, false]);
        assert_eq!(used(&["id"], None), [true, false, false]);
        assert_eq!(used(&["id"], Some("score > 1")), [true, true, false]);
        assert_eq!(used(&["score + 1 AS n"], None), [false, true, false]);
        let none = Projection::try_new(&rows().schema(), &["1 AS one".to_owned()], None).unwrap();
        assert!(!none.uses("id") && none.with_column_beside("id").unwrap().uses("id"));
    }

    #[test]
    fn the_error_names_the_expression_that_failed() {
        let columns = ["cast(id AS INT) AS number".to_owned()];
        let projection = Projection::try_new(&rows().schema(), &columns, None).unwrap();
        assert!(projection.apply(&rows()).unwrap_err().to_string().contains("cast(id AS INT)"));
    }
}
