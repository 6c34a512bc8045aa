//! Which module of a crate imports which, read from its source text.
//!
//! Contract: only what is compiled without `cfg(test)` counts. A name that a module re-exports counts as an import of the
//! module that defines it, so that an arrow shows where it really ends; declaring a child module is no import. Paths
//! within macros are seen like others; what a macro makes is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The steps of a module's path within its crate; empty for the root.
pub type Module = Vec<String>;

/// The modules of a crate and the imports between them.
#[derive(Debug)]
pub struct Modules {
    /// Paths of `use` declarations, and other paths that begin with `crate`, `super` or `self`, by module.
    paths: BTreeMap<Module, Vec<Vec<String>>>,
    /// How many paths of each module are `use` declarations: these come first.
    uses: BTreeMap<Module, usize>,
}

impl Modules {
    /// Reads the modules below `source`, the directory of `lib.rs`.
    ///
    /// # Errors
    /// A directory or file that cannot be read.
    pub fn read(source: &Path) -> anyhow::Result<Self> {
        let mut modules = Modules { paths: BTreeMap::new(), uses: BTreeMap::new() };
        modules.read_directory(source, &[])?;
        Ok(modules)
    }

    fn read_directory(&mut self, directory: &Path, place: &[String]) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let below = |name: &str| place.iter().cloned().chain([name.to_owned()]).collect::<Module>();
            if path.is_dir() {
                self.read_directory(&path, &below(&stem))?;
            } else if path.extension().is_some_and(|ending| ending == "rs") && stem != "tests" {
                let is_place = matches!(stem.as_str(), "lib" | "main" | "mod");
                let module = if is_place { place.to_vec() } else { below(&stem) };
                self.add(module, &std::fs::read_to_string(&path)?);
            }
        }
        Ok(())
    }

    /// Adds the source text of a module: the real one, or what a test makes up.
    pub fn add(&mut self, module: Module, text: &str) {
        let (declared, rest) = split_uses(&code(text));
        let mut paths: Vec<_> = declared.iter().flat_map(|tree| expand(tree)).collect();
        *self.uses.entry(module.clone()).or_default() += paths.len();
        paths.extend(inline_paths(&rest));
        let known = self.paths.entry(module).or_default();
        // `main.rs` and `lib.rs` are one root here.
        paths.append(known);
        *known = paths;
    }

    /// The modules, with what each imports.
    pub fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let import = |module: &Module, path: &Vec<String>| {
            let target = self.resolve(&self.absolute(module, path)?, &mut vec![])?;
            (target != *module).then_some(target)
        };
        let imports = |(module, paths): (&Module, &Vec<Vec<String>>)| {
            let targets: BTreeSet<Module> = paths.iter().filter_map(|path| import(module, path)).collect();
            (module.clone(), targets)
        };
        self.paths.iter().map(imports).collect()
    }

    /// The path from the crate's root on; `None` for a path into another crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([&module[..], rest].concat()),
            "super" => {
                let parent = module.split_last().map_or(vec![], |(_, parent)| parent.to_vec());
                if rest.first().is_some_and(|step| step == "super") {
                    return self.absolute(&parent, rest);
                }
                Some([&parent[..], rest].concat())
            }
            _ => {
                let child = [&module[..], &path[..1]].concat();
                self.paths.contains_key(&child).then(|| [&module[..], path].concat())
            }
        }
    }

    /// The module that defines what is at `path`.
    fn resolve(&self, path: &[String], seen: &mut Vec<Vec<String>>) -> Option<Module> {
        if seen.iter().any(|known| known == path) {
            return None;
        }
        seen.push(path.to_vec());
        let length = (0..=path.len()).rev().find(|&length| self.paths.contains_key(&path[..length]))?;
        let (module, item) = (path[..length].to_vec(), path.get(length));
        let Some(item) = item else { return Some(module) };
        let uses = self.paths.get(&module)?.get(..*self.uses.get(&module)?)?;
        for used in uses.iter().filter(|used| used.last() == Some(item)) {
            let real = self.absolute(&module, used).map(|real| [&real[..], &path[length + 1..]].concat());
            if let Some(found) = real.filter(|real| real != path).and_then(|real| self.resolve(&real, seen)) {
                return Some(found);
            }
        }
        Some(module)
    }
}

/// Groups of modules that import each other in a circle.
pub fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<BTreeSet<Module>> {
    let reachable: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (module, reach(imports, module))).collect();
    let mut circles: Vec<BTreeSet<Module>> = vec![];
    for (module, reached) in &reachable {
        let back = |other: &&&Module| reachable.get(**other).is_some_and(|there| there.contains(module));
        let circle: BTreeSet<Module> = reached.iter().filter(back).map(|other| (*other).clone()).collect();
        if !circle.is_empty() && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// What a module imports, and what that imports, and so on.
fn reach<'a>(imports: &'a BTreeMap<Module, BTreeSet<Module>>, module: &Module) -> BTreeSet<&'a Module> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![module]);
    while let Some(next) = open.pop() {
        for import in imports.get(next).into_iter().flatten() {
            if reached.insert(import) {
                open.push(import);
            }
        }
    }
    reached
}

/// The text without comments and without the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The trees of the `use` declarations, and the text without them.
fn split_uses(code: &str) -> (Vec<String>, String) {
    let (mut uses, mut rest) = (vec![], String::new());
    let mut open: Option<String> = None;
    for line in code.lines() {
        let tree = match &open {
            Some(begun) => Some(format!("{begun} {}", line.trim())),
            None => line.trim().split_once("use ").and_then(|(before, tree)| {
                let before = before.trim_end();
                let is_restricted = before.starts_with("pub(") && before.ends_with(')');
                (before.is_empty() || before == "pub" || is_restricted).then(|| tree.to_owned())
            }),
        };
        match tree {
            Some(tree) if tree.ends_with(';') => {
                uses.push(tree.trim_end_matches(';').to_owned());
                open = None;
            }
            Some(tree) => open = Some(tree),
            None => {
                rest.push_str(line);
                rest.push('\n');
            }
        }
    }
    (uses, rest)
}

/// All paths of a tree such as `a::{b, c::d}`.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let Some((before, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        let steps = path
            .split("::")
            .map(|step| step.trim().to_owned())
            .filter(|step| step != "self" || tree.starts_with("self"));
        return vec![steps.filter(|step| !step.is_empty()).collect()];
    };
    let group = group.trim().strip_suffix('}').unwrap_or(group);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(|part| expand(&format!("{}{part}", before.trim()))).collect()
}

/// Paths such as `crate::a::b` outside declarations.
fn inline_paths(code: &str) -> Vec<Vec<String>> {
    let is_name = |character: char| character.is_alphanumeric() || matches!(character, '_' | ':');
    let words = code.split(|character: char| !is_name(character));
    let path = |word: &str| -> Vec<String> { word.split("::").map(ToOwned::to_owned).collect() };
    words
        .filter(|word| ["crate::", "super::", "self::"].iter().any(|start| word.starts_with(start)))
        .map(|word| path(word.trim_end_matches(':')))
        .collect()
}
