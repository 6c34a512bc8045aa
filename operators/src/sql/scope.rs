//! What SQL expressions may refer to: functions, and the syntax that stands for functions.
//!
//! The scope is that of a `SessionContext` of DataFusion with default settings, so its documentation of
//! scalar functions applies. Aggregates and window functions are known although no expression may use them: a
//! message then says why one is refused, not that it does not exist.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DFSchema, Result, TableReference, plan_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{AggregateUDF, Expr, ScalarUDF, TableSource, WindowUDF};
use datafusion_functions::core::planner::CoreFunctionPlanner;
use datafusion_functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion_functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion_functions_aggregate::planner::AggregateFunctionPlanner;
use datafusion_functions_nested::planner::{FieldAccessPlanner, NestedFunctionPlanner};
use datafusion_functions_window::planner::WindowFunctionPlanner;
use datafusion_sql::parser::DFParserBuilder;
use datafusion_sql::planner::{PlannerContext, SqlToRel};

/// The functions and settings that SQL is planned with.
pub(super) struct Scope {
    scalar: HashMap<String, Arc<ScalarUDF>>,
    aggregate: HashMap<String, Arc<AggregateUDF>>,
    window: HashMap<String, Arc<WindowUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    options: Arc<ConfigOptions>,
}

impl Scope {
    /// DataFusion's functions.
    pub(super) fn of_datafusion() -> Self {
        let mut scope = Scope {
            scalar: HashMap::new(),
            aggregate: HashMap::new(),
            window: HashMap::new(),
            planners: planners(),
            options: Arc::default(),
        };
        let nested = datafusion_functions_nested::all_default_nested_functions();
        datafusion_functions::all_default_functions().into_iter().chain(nested).for_each(|f| scope.add(f));
        for function in datafusion_functions_aggregate::all_default_aggregate_functions() {
            add_named(&mut scope.aggregate, function.name(), function.aliases(), &function);
        }
        for function in datafusion_functions_window::all_default_window_functions() {
            add_named(&mut scope.window, function.name(), function.aliases(), &function);
        }
        scope
    }

    /// Adds a scalar function under its name and aliases; it replaces one of the same name.
    pub(super) fn add(&mut self, function: Arc<ScalarUDF>) {
        // A few functions keep a copy of settings such as the time zone.
        let configured = function.inner().with_updated_config(&self.options);
        let function = configured.map_or(function, Arc::new);
        add_named(&mut self.scalar, function.name(), function.aliases(), &function);
    }

    /// The settings, which are DataFusion's defaults.
    pub(super) fn options(&self) -> &Arc<ConfigOptions> {
        &self.options
    }

    /// Parses one expression over rows of `schema`, and resolves the names in it.
    ///
    /// # Errors
    /// Invalid syntax, or a column or function that does not exist.
    pub(super) fn parse(&self, sql: &str, schema: &DFSchema) -> Result<Expr> {
        let parsed = DFParserBuilder::new(sql).build()?.parse_into_expr()?;
        SqlToRel::new(self).sql_to_expr_with_alias(parsed, schema, &mut PlannerContext::new())
    }
}

/// Adds `function` under its name and its aliases.
fn add_named<F>(functions: &mut HashMap<String, Arc<F>>, name: &str, aliases: &[String], function: &Arc<F>) {
    let names = aliases.iter().cloned().chain([name.to_owned()]);
    functions.extend(names.map(|name| (name, Arc::clone(function))));
}

/// The planners that turn operators and special syntax (`[1, 2]`, `a.b`, `EXTRACT(...)`) into functions, in
/// the order in which DataFusion asks them.
fn planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(CoreFunctionPlanner::default()),
        Arc::new(NestedFunctionPlanner),
        Arc::new(FieldAccessPlanner),
        Arc::new(DatetimeFunctionPlanner),
        Arc::new(UnicodeFunctionPlanner),
        Arc::new(AggregateFunctionPlanner),
        Arc::new(WindowFunctionPlanner),
    ]
}

impl ContextProvider for Scope {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let catalog = &self.options.catalog;
        plan_err!("table '{}' not found", name.resolve(&catalog.default_catalog, &catalog.default_schema))
    }

    fn get_table_function_source(&self, name: &str, _: Vec<Expr>) -> Result<Arc<dyn TableSource>> {
        plan_err!("`{name}` is a table function, but only the row itself can be used")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalar.get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregate.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.window.get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.scalar.keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.aggregate.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.window.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions;
    use std::collections::HashSet;

    /// The names and aliases of the scalar functions of a `SessionContext` with default settings, as the first
    /// releases had them in every build; configurations may use any of them.
    const NAMES: &str = include_str!("functions.txt");

    #[test]
    fn no_function_of_earlier_releases_is_missing() {
        let scope = Scope::of_datafusion();
        let missing: Vec<&str> = NAMES.lines().filter(|name| !scope.scalar.contains_key(*name)).collect();
        assert!(missing.is_empty() && NAMES.lines().count() > 200, "{missing:?}");
    }

    #[test]
    fn names_of_operators_are_unique_and_hide_no_function_of_datafusion() {
        let mut seen: HashSet<String> = Scope::of_datafusion().scalar.into_keys().collect();
        for function in functions() {
            assert!(seen.insert(function.name().to_owned()), "{} is taken", function.name());
        }
    }
}
