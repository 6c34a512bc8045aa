//! What a sink writes: selected columns, or SQL over them, of selected rows.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
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
    schema: SchemaRef,
    columns: Vec<Output>,
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
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        Ok(Projection { schema, columns: outputs, filter })
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
        let evaluate = |expression: &Expression, rows: &RecordBatch| {
            let failed = |source| OperatorError::Evaluate { sql: expression.sql.clone(), source };
            expression.evaluate(rows).map_err(failed)
        };
        let rows = match &self.filter {
            Some(filter) => filter_record_batch(batch, evaluate(filter, batch)?.as_boolean())?,
            None => batch.clone(),
        };
        let columns = self.columns.iter().map(|output| match output {
            // `project` returns an error if the batch has no such column, where `column` alone would panic.
            Output::Column(index) => Ok(Arc::clone(rows.project(&[*index])?.column(0))),
            Output::Computed(expression) => evaluate(expression, &rows),
        });
        let columns = columns.collect::<Result<Vec<_>, OperatorError>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
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
    fn the_error_names_the_expression_that_failed() {
        let columns = ["cast(id AS INT) AS number".to_owned()];
        let projection = Projection::try_new(&rows().schema(), &columns, None).unwrap();
        assert!(projection.apply(&rows()).unwrap_err().to_string().contains("cast(id AS INT)"));
    }
}
