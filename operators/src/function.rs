//! The shape that all SQL functions of this crate share: a reference text and an operation.
//!
//! DataFusion asks a function for many things (name, signature, equality, documentation, ...) that follow
//! from these two. [`Function`] answers them once for all functions, so that the file of a function holds
//! only what is particular to it.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// The documentation of a function, in Markdown. `operators/README.md` and DataFusion's own documentation of
/// the function are generated from it.
#[derive(Debug)]
pub(crate) struct Reference {
    /// The name in SQL, and as a step of the cleaning configuration.
    pub(crate) name: &'static str,
    /// A call with the names of its arguments: `decode_bytes(binary [, charset])`.
    pub(crate) syntax: &'static str,
    /// What the function does, in a few sentences.
    pub(crate) summary: &'static str,
    /// The rules that it follows, each a sentence or two.
    pub(crate) rules: &'static [&'static str],
    /// The name of each argument, and what it is.
    pub(crate) arguments: &'static [(&'static str, &'static str)],
    /// The SQL type of the result, and what it holds.
    pub(crate) returns: &'static str,
    /// Calls with their results; tests run them.
    pub(crate) examples: &'static [Example],
    /// The names of functions that are used before, after or instead of this one.
    pub(crate) related: &'static [&'static str],
}

/// A call and its result.
#[derive(Debug)]
pub(crate) struct Example {
    /// A SQL expression without columns.
    pub(crate) sql: &'static str,
    /// Its value as text.
    pub(crate) result: &'static str,
}

/// What a function does with its arguments.
///
/// Functions of the same name are interchangeable if their operations are equal; DataFusion then evaluates a
/// call that occurs twice only once.
pub(crate) trait Operation: fmt::Debug + Eq + Hash + Send + Sync + 'static {
    /// The types to which DataFusion casts the arguments, given the types that it found; `name` is the
    /// function's, for messages.
    ///
    /// # Errors
    /// The number of arguments is wrong, or a type is not supported.
    fn argument_types(&self, name: &str, found: &[DataType]) -> Result<Vec<DataType>>;

    /// The type of the result for arguments of types that [`argument_types`](Self::argument_types) returned.
    fn return_type(&self, arguments: &[DataType]) -> DataType;

    /// The result for one batch of rows: null where the first argument is null.
    ///
    /// # Errors
    /// The result is too large for its Arrow type.
    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue>;
}

/// A SQL function.
#[derive(Debug)]
pub(crate) struct Function<O> {
    reference: &'static Reference,
    operation: O,
    signature: Signature,
    documentation: Documentation,
}

impl<O: Operation> Function<O> {
    /// The function that does `operation` and is documented by `reference`.
    pub(crate) fn udf(reference: &'static Reference, operation: O) -> ScalarUDF {
        ScalarUDF::from(Function {
            reference,
            operation,
            // The functions are deterministic, so calls on constants are evaluated once, when SQL is
            // compiled.
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: reference.documentation(),
        })
    }
}

impl<O: PartialEq> PartialEq for Function<O> {
    fn eq(&self, other: &Self) -> bool {
        self.reference.name == other.reference.name && self.operation == other.operation
    }
}

impl<O: Eq> Eq for Function<O> {}

impl<O: Hash> Hash for Function<O> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.reference.name.hash(state);
        self.operation.hash(state);
    }
}

impl<O: Operation> ScalarUDFImpl for Function<O> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.reference.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.operation.argument_types(self.reference.name, arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.operation.return_type(&self.coerce_types(arg_types)?))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.operation.invoke(&args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

impl Reference {
    /// The reference in DataFusion's form, which has no fields for rules and results.
    fn documentation(&self) -> Documentation {
        const SECTION: DocSection =
            DocSection { include: true, label: "Cleaning functions", description: None };
        let rules: String = self.rules.iter().map(|rule| format!("\n- {rule}")).collect();
        let description = format!("{}\n{rules}\n\nReturns: {}", self.summary, self.returns);
        let examples: Vec<String> = self.examples.iter().map(Example::statement).collect();
        let mut builder = Documentation::builder(SECTION, description, self.syntax)
            .with_sql_example(format!("```sql\n{}\n```", examples.join("\n")));
        for (name, meaning) in self.arguments {
            builder = builder.with_argument(*name, *meaning);
        }
        for name in self.related {
            builder = builder.with_related_udf(*name);
        }
        builder.build()
    }
}

impl Example {
    /// The example as a query, with its result as a comment.
    pub(crate) fn statement(&self) -> String {
        let result: Vec<String> = self.result.lines().map(|line| format!("-- {line}")).collect();
        format!("SELECT {};\n{}", self.sql, result.join("\n"))
    }
}
