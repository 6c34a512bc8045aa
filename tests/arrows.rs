//! Arrows between the modules of a crate: no circle, and in `connectors` no kind that knows another.

use std::collections::{BTreeMap, BTreeSet};

use fenliu_tests::modules::{Module, Modules, circles};
use fenliu_tests::scripts::repository;

/// Crates whose modules import each other in one direction only.
const CRATES: [&str; 6] =
    ["schemas", "pipeline/engine", "pipeline/config", "pipeline/decode", "pipeline/connectors", "pipeline"];

/// What kinds may not know of each other: one folder each.
const KINDS: [&str; 5] = ["kafka", "files", "delta", "iceberg", "stdout"];

/// The modules at the top of `connectors` that know the kinds: the list of them, and what opens all outputs.
const ABOVE_KINDS: [&str; 3] = ["kinds", "outputs", "source_kind"];

fn modules(name: &str) -> Modules {
    Modules::read(&repository().join(name).join("src")).unwrap()
}

fn shown(circles: &[BTreeSet<Module>]) -> Vec<Vec<String>> {
    circles.iter().map(|circle| circle.iter().map(|module| module.join("::")).collect()).collect()
}

/// Imports from one kind's folder into another's, and into any of them from below.
fn crossings(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let kind = |module: &Module| module.first().filter(|first| KINDS.contains(&first.as_str())).cloned();
    let mut crossings = vec![];
    for (module, targets) in imports {
        let is_above = module.first().is_none_or(|first| ABOVE_KINDS.contains(&first.as_str()));
        for target in targets.iter().filter(|target| kind(target).is_some() && kind(target) != kind(module)) {
            if !is_above {
                crossings.push(format!("{} imports {}", module.join("::"), target.join("::")));
            }
        }
    }
    crossings
}

#[test]
fn modules_import_each_other_in_no_circle() {
    for name in CRATES {
        let modules = modules(name);
        let imports = modules.imports();
        assert!(
            imports.len() > 5 && imports.values().any(|targets| !targets.is_empty()),
            "{name}: {imports:?}"
        );
        let found = circles(&imports);
        assert!(found.is_empty(), "{name}: {:#?}", shown(&found));
    }
}

#[test]
fn kinds_of_connectors_do_not_know_each_other() {
    let found = crossings(&modules("pipeline/connectors").imports());
    assert!(found.is_empty(), "{found:#?}");
}

/// The two tests above fail on what they are for.
#[test]
fn an_upward_import_is_found_however_it_is_written() {
    let upward = |module: &[&str], text: &str| {
        let mut modules = modules("pipeline/connectors");
        modules.add(module.iter().map(ToString::to_string).collect(), text);
        let imports = modules.imports();
        (!circles(&imports).is_empty(), !crossings(&imports).is_empty())
    };
    assert_eq!(upward(&["resource"], "use std::path::Path;"), (false, false));
    for text in [
        "use crate::outputs::Output;",
        "pub(crate) use super::outputs;",
        "use crate::{\n    outputs::{NamedSink, Output},\n    meter::Meter,\n};",
        "fn f() { crate::outputs::open() }",
    ] {
        assert!(upward(&["selection"], text).0, "{text}");
    }
    // A name that the root re-exports is an import of the module that has it.
    assert!(upward(&["selection"], "use crate::SinkKind;").0);
    assert!(upward(&["files", "sink"], "use crate::kafka::MessageWriter;").1);
    assert!(upward(&["json"], "use crate::files::FileFormat;").1);
}
