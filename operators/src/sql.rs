//! SQL expressions over one row, compiled once and evaluated per batch.
//!
//! An expression is parsed, checked, coerced, simplified and planned by DataFusion, and then evaluated
//! directly on record batches: no query plan, no stream, no row held back. What needs more than the row
//! itself (aggregates, windows, subqueries) or would differ on a replay (`now()`, `random()`) is refused.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, plan_datafusion_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility, cast};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;

use crate::words::{Segmenter, function_with};
use crate::{OperatorError, register_all};

/// Plans expressions; knows all operators and DataFusion's own functions.
pub(crate) struct Compiler {
    context: SessionContext,
}

/// The type that an expression must have.
pub(crate) enum Wanted {
    /// That of the column it will replace: it is cast.
    Exactly(DataType),
    /// A predicate's: it must be boolean by itself.
    Boolean,
    /// Any, but text is always `Utf8`.
    Any,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    /// The SQL, for messages.
    pub(crate) sql: String,
    /// The name that `AS` gives it, or that of the column which is all of it.
    pub(crate) name: Option<String>,
    /// The type of its values.
    pub(crate) data_type: DataType,
    physical: Arc<dyn PhysicalExpr>,
}

/// The rows on which an expression failed, counted from 0, and why.
pub(crate) type Failures = Vec<(usize, String)>;

impl Compiler {
    /// A compiler whose `segment` is `segmenter`.
    pub(crate) fn new(segmenter: Segmenter) -> Self {
        let context = SessionContext::new();
        register_all(&context);
        context.register_udf(function_with(segmenter));
        Compiler { context }
    }

    /// Compiles `sql` over rows of `schema`; `key` is the setting that holds it.
    pub(crate) fn compile(
        &self,
        key: &str,
        sql: &str,
        schema: &Schema,
        wanted: &Wanted,
    ) -> Result<Expression, OperatorError> {
        self.plan(sql, schema, wanted).map_err(|error| OperatorError::Sql {
            key: key.to_owned(),
            sql: sql.to_owned(),
            problem: error.strip_backtrace(),
        })
    }

    fn plan(&self, sql: &str, schema: &Schema, wanted: &Wanted) -> Result<Expression> {
        let schema = DFSchema::try_from(schema.clone())?;
        let (expression, name) = match self.context.parse_sql_expr(sql, &schema)? {
            Expr::Alias(alias) => (*alias.expr, Some(alias.name)),
            Expr::Column(column) => (Expr::Column(column.clone()), Some(column.name)),
            other => (other, None),
        };
        refuse_what_needs_more_than_a_row(&expression)?;
        let state = self.context.state();
        let simplifier = ExprSimplifier::new(
            SimplifyContext::default()
                .with_schema(Arc::new(schema.clone()))
                .with_config_options(Arc::clone(state.config_options())),
        );
        let coerced = simplifier.coerce(expression, &schema)?;
        let found = coerced.get_type(&schema)?;
        let data_type = wanted_type(&found, wanted)?;
        let typed = if data_type == found { coerced } else { cast(coerced, data_type.clone()) };
        let physical = state.create_physical_expr(simplifier.simplify(typed)?, &schema)?;
        Ok(Expression { sql: sql.to_owned(), name, data_type, physical })
    }
}

fn wanted_type(found: &DataType, wanted: &Wanted) -> Result<DataType> {
    match (wanted, found) {
        (Wanted::Exactly(data_type), _) => Ok(data_type.clone()),
        (Wanted::Boolean, DataType::Boolean) => Ok(DataType::Boolean),
        (Wanted::Boolean, other) => Err(plan_datafusion_err!("a predicate must be boolean, this is {other}")),
        (Wanted::Any, DataType::Utf8View | DataType::LargeUtf8) => Ok(DataType::Utf8),
        (Wanted::Any, other) => Ok(other.clone()),
    }
}

fn refuse_what_needs_more_than_a_row(expression: &Expr) -> Result<()> {
    expression.apply(|part| {
        let what = match part {
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
            Expr::Placeholder(placeholder) => format!("nothing is there to fill in `{}`", placeholder.id),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Err(DataFusionError::Plan(what))
    })?;
    Ok(())
}

impl Expression {
    /// The expression's value for every row.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        self.physical.evaluate(batch)?.into_array(batch.num_rows())
    }

    /// Like [`evaluate`](Self::evaluate), but a row on which the expression fails gets null and is listed.
    ///
    /// A failing batch is halved until the guilty rows stand alone.
    pub(crate) fn evaluate_each(&self, batch: &RecordBatch) -> Result<(ArrayRef, Failures), ArrowError> {
        let (mut parts, mut failures) = (Vec::new(), Failures::new());
        self.evaluate_halves(batch, 0, &mut parts, &mut failures);
        let values = match parts.as_slice() {
            [whole] => Arc::clone(whole),
            parts => concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?,
        };
        Ok((values, failures))
    }

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
                failures.extend((rows == 1).then(|| (first_row, error.strip_backtrace())));
            }
        }
    }
}
