//! SQL expressions over one row, compiled once and evaluated per batch.
//!
//! DataFusion parses, checks, coerces, simplifies and plans an expression. The result is evaluated directly
//! on record batches, without a query plan or a stream, so that no row waits for others. Expressions that
//! need more than the row itself (aggregates, window functions, subqueries) are refused, and so are those
//! whose value would differ when a document is read again (`now()`, `random()`).

mod scope;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, Result, plan_datafusion_err};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{Expr, ExprSchemable, Volatility, cast};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_physical_expr::utils::collect_columns;
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use fenliu_text::Segmenter;

use crate::functions::segment::function_with;
use crate::{OperatorError, functions};
use scope::Scope;

/// Compiles expressions that may use all operators and DataFusion's scalar functions.
pub(crate) struct Compiler {
    scope: Scope,
}

/// The type that an expression must have.
pub(crate) enum RequiredType {
    /// The type of the column that it replaces; the expression is cast to it.
    Exactly(DataType),
    /// Boolean, since it is a predicate; the expression is not cast.
    Boolean,
    /// Any type, except that text becomes `Utf8`.
    Any,
    /// Text, which becomes `Utf8`, or bytes, which become `Binary`; the expression is not cast to either from other types.
    Bytes,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    /// The SQL, for messages.
    pub(crate) sql: String,
    /// The name that `AS` gives it, or the column's if the expression is just a column.
    pub(crate) name: Option<String>,
    /// The type of its values.
    pub(crate) data_type: DataType,
    physical: Arc<dyn PhysicalExpr>,
}

/// The rows on which an expression failed, counted from 0, and the messages.
pub(crate) type Failures = Vec<(usize, String)>;

impl Compiler {
    /// A compiler whose `segment` function uses `segmenter`.
    pub(crate) fn new(segmenter: Segmenter) -> Self {
        let mut scope = Scope::of_datafusion();
        // `segment` comes last, and replaces the one that knows jieba's own dictionary only.
        functions().into_iter().chain([function_with(segmenter)]).for_each(|f| scope.add(Arc::new(f)));
        Compiler { scope }
    }

    /// Compiles `sql` over rows of `schema`; `key` is the setting that holds it.
    pub(crate) fn compile(
        &self,
        key: &str,
        sql: &str,
        schema: &Schema,
        required: &RequiredType,
    ) -> Result<Expression, OperatorError> {
        self.plan(sql, schema, required).map_err(|error| OperatorError::Sql {
            key: key.to_owned(),
            sql: sql.to_owned(),
            problem: error.strip_backtrace(),
        })
    }

    fn plan(&self, sql: &str, schema: &Schema, required: &RequiredType) -> Result<Expression> {
        let schema = Arc::new(DFSchema::try_from(schema.clone())?);
        let (expression, name) = match self.scope.parse(sql, &schema)? {
            Expr::Alias(alias) => (*alias.expr, Some(alias.name)),
            Expr::Column(column) => (Expr::Column(column.clone()), Some(column.name)),
            other => (other, None),
        };
        refuse_more_than_a_row(&expression)?;
        let simplifier = self.simplifier(&schema);
        let coerced = simplifier.coerce(expression, &schema)?;
        let found = coerced.get_type(&schema)?;
        let data_type = result_type(&found, required)?;
        // The cast comes before the simplification, so that a cast of a constant is done once, when SQL is
        // compiled.
        let typed = if data_type == found { coerced } else { cast(coerced, data_type.clone()) };
        // Simplification can leave operands of different types, which coercion makes equal again.
        let simplified = simplifier.coerce(simplifier.simplify(typed)?, &schema)?;
        let physical = create_physical_expr(&simplified, &schema, &ExecutionProps::new())?;
        Ok(Expression { sql: sql.to_owned(), name, data_type, physical })
    }

    fn simplifier(&self, schema: &Arc<DFSchema>) -> ExprSimplifier {
        let context = SimplifyContext::default()
            .with_schema(Arc::clone(schema))
            .with_config_options(Arc::clone(self.scope.options()));
        ExprSimplifier::new(context)
    }
}

/// The type that an expression of type `found` gets.
fn result_type(found: &DataType, required: &RequiredType) -> Result<DataType> {
    match (required, found) {
        (RequiredType::Exactly(data_type), _) => Ok(data_type.clone()),
        (RequiredType::Boolean, DataType::Boolean) => Ok(DataType::Boolean),
        (RequiredType::Boolean, other) => {
            Err(plan_datafusion_err!("a predicate must be boolean, this is {other}"))
        }
        (RequiredType::Bytes, DataType::Binary | DataType::BinaryView | DataType::LargeBinary) => {
            Ok(DataType::Binary)
        }
        (RequiredType::Bytes, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8) => {
            Ok(DataType::Utf8)
        }
        (RequiredType::Bytes, other) => {
            Err(plan_datafusion_err!("a key must be text or binary, this is {other}: cast it"))
        }
        (RequiredType::Any, DataType::Utf8View | DataType::LargeUtf8) => Ok(DataType::Utf8),
        (RequiredType::Any, other) => Ok(other.clone()),
    }
}

/// Fails if `expression` needs other rows than the one that it is evaluated on, or has a value that changes
/// from run to run.
fn refuse_more_than_a_row(expression: &Expr) -> Result<()> {
    expression.apply(|part| {
        let problem = match part {
            Expr::AggregateFunction(function) => {
                format!("`{}` is an aggregate, it needs more than one row", function.func.name())
            }
            Expr::WindowFunction(function) => {
                format!("`{}` is a window function, it needs more than one row", function.fun.name())
            }
            Expr::ScalarFunction(function)
                if function.func.signature().volatility != Volatility::Immutable =>
            {
                format!("`{}` gives another value on each run, so a replay would differ", function.name())
            }
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_) => {
                "it has a subquery, but only the row itself can be used".to_owned()
            }
            Expr::Unnest(_) => "`unnest` makes several rows of one".to_owned(),
            Expr::Placeholder(placeholder) => {
                format!("it has the placeholder `{}`, for which there is no value", placeholder.id)
            }
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Err(DataFusionError::Plan(problem))
    })?;
    Ok(())
}

impl Expression {
    /// Whether the value depends on the column `name`.
    pub(crate) fn uses(&self, name: &str) -> bool {
        collect_columns(&self.physical).iter().any(|column| column.name() == name)
    }

    /// The value of the expression for every row.
    ///
    /// # Errors
    /// The expression fails on a row, e.g. in a cast.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        self.physical.evaluate(batch)?.into_array(batch.num_rows())
    }

    /// Like [`evaluate`](Self::evaluate), but a row on which the expression fails gets null and is listed.
    ///
    /// DataFusion does not say on which row an expression failed. A batch that fails is therefore halved
    /// until the failing rows are alone, which costs nothing for batches without such rows.
    pub(crate) fn evaluate_each(&self, batch: &RecordBatch) -> Result<(ArrayRef, Failures), ArrowError> {
        let (mut parts, mut failures) = (Vec::new(), Failures::new());
        self.evaluate_halves(batch, 0, &mut parts, &mut failures);
        let values = match parts.as_slice() {
            [whole] => Arc::clone(whole),
            parts => concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?,
        };
        Ok((values, failures))
    }

    /// Evaluates the rows of `batch`, which starts at row `first_row` of the whole, and appends the values to
    /// `parts`.
    fn evaluate_halves(
        &self,
        batch: &RecordBatch,
        first_row: usize,
        parts: &mut Vec<ArrayRef>,
        failures: &mut Failures,
    ) {
        let rows = batch.num_rows();
        match self.evaluate(batch) {
            Ok(values) => parts.push(values),
            Err(_) if rows > 1 => {
                let half = rows / 2;
                self.evaluate_halves(&batch.slice(0, half), first_row, parts, failures);
                self.evaluate_halves(&batch.slice(half, rows - half), first_row + half, parts, failures);
            }
            Err(error) => {
                parts.push(new_null_array(&self.data_type, rows));
                // A batch without rows has no row to blame.
                failures.extend((rows == 1).then(|| (first_row, error.strip_backtrace())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::value;

    /// DataFusion plans operators and special syntax by planners that a [`Scope`] must list.
    #[test]
    fn operators_and_special_syntax_are_planned_as_functions() {
        let cases = [
            ("[1, 2][2]", "2"),
            ("[1] || [2]", "[1, 2]"),
            ("[1, 2] @> [2]", "true"),
            ("named_struct('a', 5)['a']", "5"),
            ("MAP {'a': 1}['a']", "1"),
            ("'a' || 'b' || 1", "ab1"),
            ("EXTRACT(YEAR FROM DATE '2024-03-01')", "2024"),
            ("POSITION('b' IN 'abc')", "2"),
            ("SUBSTRING('abcdef' FROM 2 FOR 3)", "bcd"),
            ("OVERLAY('Txxxxas' PLACING 'hom' FROM 2 FOR 4)", "Thomas"),
            ("TRIM(BOTH 'x' FROM 'xax')", "a"),
            ("'abc' ~ '^a'", "true"),
            ("'abc' ILIKE 'A%'", "true"),
            ("5 BETWEEN 1 AND 9 AND 1 IN (1, 2)", "true"),
            ("CASE WHEN 1 > 2 THEN 'x' ELSE 'y' END", "y"),
            ("DATE '2024-01-31' + INTERVAL '1 day' = DATE '2024-02-01'", "true"),
            ("1 + 1.5", "2.5"),
        ];
        for (sql, expected) in cases {
            assert_eq!(value(sql), expected, "{sql}");
        }
    }

    #[test]
    fn a_function_of_each_group_is_known() {
        let cases = [
            ("coalesce(NULL, 'a')", "a"),
            ("upper('a')", "A"),
            ("character_length('新闻')", "2"),
            ("regexp_replace('a1b', '[0-9]', '-')", "a-b"),
            ("round(2.456, 2)", "2.46"),
            ("encode('a', 'hex')", "61"),
            ("array_length([1, 2, 3])", "3"),
            ("to_timestamp('2024-01-01T00:00:00Z')", "2024-01-01T00:00:00"),
            ("date_trunc('year', DATE '2024-03-01') = DATE '2024-01-01'", "true"),
            ("try_cast('x' AS INT) IS NULL", "true"),
        ];
        for (sql, expected) in cases {
            assert_eq!(value(sql), expected, "{sql}");
        }
    }

    fn problem(sql: &str) -> String {
        let compiled =
            Compiler::new(Segmenter::default()).compile("key", sql, &Schema::empty(), &RequiredType::Any);
        compiled.unwrap_err().to_string()
    }

    #[test]
    fn expressions_that_need_more_than_a_row_are_refused_with_the_reason() {
        let cases = [
            ("count(*)", "is an aggregate"),
            ("sum(1) OVER ()", "is a window function"),
            ("rank() OVER (ORDER BY 1)", "is a window function"),
            ("(SELECT 1)", "it has a subquery"),
            ("1 IN (SELECT 1)", "it has a subquery"),
            ("unnest([1, 2])", "makes several rows of one"),
            ("now()", "gives another value on each run"),
            ("$1 + 1", "for which there is no value"),
            ("(SELECT a FROM b)", "table 'datafusion.public.b' not found"),
            ("(SELECT max(value) FROM generate_series(1, 3))", "`generate_series` is a table function"),
        ];
        for (sql, expected) in cases {
            let problem = problem(sql);
            assert!(problem.contains(expected) && problem.contains(sql), "{problem}");
        }
    }

    #[test]
    fn an_unknown_function_is_named_with_the_one_that_was_probably_meant() {
        assert!(
            problem("strip_htm('a')").contains("Did you mean 'strip_html'?"),
            "{}",
            problem("strip_htm('a')")
        );
    }
}
