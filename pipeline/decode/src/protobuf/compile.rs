//! Compiles `.proto` text with the files that it imports.

use std::collections::HashMap;
use std::path::Path;

use prost_reflect::FileDescriptor;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

use crate::schema::SchemaText;

/// The name under which a schema's own text is compiled.
const MAIN_FILE: &str = "schema.proto";

/// Files that schemas import without a reference, because registries and their clients bring them.
const BUILT_IN: [(&str, &str); 20] = [
    ("confluent/meta.proto", include_str!("imports/confluent/meta.proto")),
    ("confluent/type/decimal.proto", include_str!("imports/confluent/type/decimal.proto")),
    // An earlier name of the same file, under which Redpanda knows it.
    ("confluent/types/decimal.proto", include_str!("imports/confluent/type/decimal.proto")),
    ("google/type/calendar_period.proto", include_str!("imports/google/type/calendar_period.proto")),
    ("google/type/color.proto", include_str!("imports/google/type/color.proto")),
    ("google/type/date.proto", include_str!("imports/google/type/date.proto")),
    ("google/type/datetime.proto", include_str!("imports/google/type/datetime.proto")),
    ("google/type/dayofweek.proto", include_str!("imports/google/type/dayofweek.proto")),
    ("google/type/decimal.proto", include_str!("imports/google/type/decimal.proto")),
    ("google/type/expr.proto", include_str!("imports/google/type/expr.proto")),
    ("google/type/fraction.proto", include_str!("imports/google/type/fraction.proto")),
    ("google/type/interval.proto", include_str!("imports/google/type/interval.proto")),
    ("google/type/latlng.proto", include_str!("imports/google/type/latlng.proto")),
    ("google/type/localized_text.proto", include_str!("imports/google/type/localized_text.proto")),
    ("google/type/money.proto", include_str!("imports/google/type/money.proto")),
    ("google/type/month.proto", include_str!("imports/google/type/month.proto")),
    ("google/type/phone_number.proto", include_str!("imports/google/type/phone_number.proto")),
    ("google/type/postal_address.proto", include_str!("imports/google/type/postal_address.proto")),
    ("google/type/quaternion.proto", include_str!("imports/google/type/quaternion.proto")),
    ("google/type/timeofday.proto", include_str!("imports/google/type/timeofday.proto")),
];

/// The texts of files, by the names that `import` statements use.
struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(ToString::to_string)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let text = self.0.get(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}

/// Opens the files in [`BUILT_IN`].
struct BuiltIn;

impl FileResolver for BuiltIn {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let known = BUILT_IN.iter().find(|(known, _)| *known == name);
        let (_, text) = known.ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}

/// The compiled file of `source`.
///
/// # Errors
/// What is wrong, with its place. An import that is not found is named.
pub(super) fn compile(source: &SchemaText) -> Result<FileDescriptor, String> {
    let mut texts: HashMap<String, String> = source.references.iter().cloned().collect();
    texts.insert(MAIN_FILE.into(), source.text.clone());
    let mut resolver = ChainFileResolver::new();
    // Resolvers are asked in this order: the schema and its references, Google's well-known types, files beside a
    // schema file, and last those that are built in, so that a user's own copy counts.
    resolver.add(Texts(texts));
    resolver.add(GoogleFileResolver::new());
    if let Some(directory) = &source.directory {
        resolver.add(IncludeFileResolver::new(directory.clone()));
    }
    resolver.add(BuiltIn);
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file(MAIN_FILE).map_err(|error| with_place(&error))?;
    let pool = compiler.descriptor_pool();
    pool.get_file_by_name(MAIN_FILE).ok_or_else(|| "it defines nothing".into())
}

/// The error with its file, line and column, which only the debugging output has. The name of the schema's own file is
/// left out: it is made up.
fn with_place(error: &protox::Error) -> String {
    let text = format!("{error:?}");
    let place = text.strip_prefix(MAIN_FILE).and_then(|rest| rest.strip_prefix(':'));
    let said = place.map_or_else(|| text.clone(), |rest| format!("line {rest}"));
    if error.is_file_not_found() {
        return format!(
            "{said}: it is neither built in nor among the schema's references or the files beside it"
        );
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(text: &str) -> Result<FileDescriptor, String> {
        compile(&SchemaText { text: text.into(), ..SchemaText::default() })
    }

    #[test]
    fn every_built_in_file_can_be_imported() {
        for (name, _) in BUILT_IN {
            let file = compiled(&format!("syntax = \"proto3\"; import \"{name}\"; message M {{}}")).unwrap();
            let imported = file.dependencies().next().unwrap();
            let has_types = imported.messages().len() + imported.enums().len() > 0;
            assert!(imported.name() == name && has_types, "{name}");
        }
    }

    #[test]
    fn a_users_own_file_is_preferred() {
        let own = "syntax = \"proto3\"; package google.type; message Date { string iso = 1; }";
        let source = SchemaText {
            text: "syntax = \"proto3\"; import \"google/type/date.proto\"; message M {}".into(),
            references: vec![("google/type/date.proto".into(), own.into())],
            ..SchemaText::default()
        };
        let file = compile(&source).unwrap();
        let date = file.parent_pool().get_message_by_name("google.type.Date").unwrap();
        assert!(date.get_field_by_name("iso").is_some());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let import =
            "syntax = \"proto3\";\nimport \"google/type/date.proto\";\nimport \"news/head.proto\";\n";
        let unknown = "syntax = \"proto3\"; message M {\n  Head head = 1; }";
        for (text, wanted) in [
            (import, "line 3:1: import 'news/head.proto' not found: it is neither built in nor"),
            ("syntax = \"proto3\"; message {}", "line 1:28: expected an identifier"),
            (unknown, "line 2:3: name 'Head' is not defined"),
        ] {
            let error = compiled(text).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
        let head = "syntax = \"proto3\";\n\nimport \"news/size.proto\";";
        let source = SchemaText {
            text: import.into(),
            references: vec![("news/head.proto".into(), head.into())],
            ..SchemaText::default()
        };
        let error = compile(&source).unwrap_err();
        assert!(error.contains("news/head.proto:3:1: import 'news/size.proto' not found"), "{error}");
    }
}
