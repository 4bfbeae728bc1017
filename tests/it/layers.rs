//! Imports between files point one way.
//!
//! A file imports another if its code, unit tests excluded, names something that the other one defines: through
//! `crate::`, `super::` or `self::`, and any number of modules and re-exports. Declaring a module or re-exporting a
//! name is not an import, so a `mod.rs` counts only for what it defines and calls itself. If its children use what it
//! defines, it may not use them in turn; what both need then belongs in a file of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMacro, ItemMod, ItemUse, Macro, UseTree, VisRestricted, Visibility};

/// A path of names; it starts at the root of the crate if it is a module's.
type Names = Vec<String>;

/// The contents of a module.
#[derive(Default)]
struct Module {
    /// Relative to the repository.
    file: String,
    children: BTreeSet<String>,
    /// Names of what is defined here.
    items: BTreeSet<String>,
    /// The paths that names from elsewhere stand for.
    uses: BTreeMap<String, Names>,
    /// Paths that the code names, and what it imports for its own use.
    named: BTreeSet<Names>,
}

/// The target of a path.
#[derive(Clone, Debug, PartialEq)]
enum Target {
    Module(Names),
    /// Something defined in this module.
    Item(Names),
    /// Something in another crate, or a local name.
    Outside,
    Unknown,
}

#[derive(Default)]
struct Tree(BTreeMap<Names, Module>);

/// For each file: the files that it imports, each with a name that it imports from there.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

/// All files of the library.
fn library() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tree = Tree::default();
    tree.read(&root.join("src/lib.rs"), &Names::new(), root);
    tree
}

/// The imports that lead back to where they come from.
fn circles(imports: &Imports) -> Vec<String> {
    let reaches = |from: &str, to: &str| {
        let mut waiting = vec![from];
        let mut seen = BTreeSet::new();
        while let Some(file) = waiting.pop() {
            let next = imports.get(file).into_iter().flat_map(BTreeMap::keys).map(String::as_str);
            waiting.extend(next.filter(|file| seen.insert(*file)));
        }
        seen.contains(to)
    };
    let all = imports.iter().flat_map(|(from, others)| others.iter().map(move |(to, name)| (from, to, name)));
    let circle = all.filter(|(from, to, _)| reaches(to, from));
    circle.map(|(from, to, name)| format!("{from} imports {to} (`{name}`)")).collect()
}

impl Tree {
    /// Reads a module's file, and the files of the modules that it declares.
    fn read(&mut self, file: &Path, at: &Names, root: &Path) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let shown = file.strip_prefix(root).expect("a path inside the repository").to_string_lossy().replace('\\', "/");
        self.add(&text, &shown, at);
        let folder = match file.file_name().and_then(|name| name.to_str()) {
            Some("mod.rs" | "lib.rs") => file.with_file_name(""),
            _ => file.with_extension(""),
        };
        for child in self.0[at].children.clone() {
            let flat = folder.join(format!("{child}.rs"));
            let file = if flat.is_file() { flat } else { folder.join(&child).join("mod.rs") };
            self.read(&file, &[&at[..], &[child]].concat(), root);
        }
    }

    fn add(&mut self, text: &str, file: &str, at: &Names) {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        module.visit_file(&syntax);
        self.0.insert(at.clone(), module);
    }

    /// Where a path in the module `at` leads. `passed` holds the names that are already being followed.
    fn follow(&self, at: &Names, path: &[String], passed: &mut Vec<(Names, String)>) -> Target {
        let Some((first, rest)) = path.split_first() else { return Target::Module(at.clone()) };
        match first.as_str() {
            "crate" => return self.follow_inside(&Names::new(), rest, passed),
            "self" => return self.follow_inside(at, rest, passed),
            "super" => {
                let parent = at.split_last().map_or(Names::new(), |(_, parent)| parent.to_vec());
                return match rest.first().map(String::as_str) {
                    Some("super") => self.follow(&parent, rest, passed),
                    _ => self.follow_inside(&parent, rest, passed),
                };
            }
            _ => {}
        }
        match self.follow_inside(at, path, passed) {
            Target::Unknown if !self.0[at].children.contains(first) => Target::Outside,
            target => target,
        }
    }

    /// Like [`Tree::follow`], for a path whose first name the module itself holds.
    fn follow_inside(&self, at: &Names, path: &[String], passed: &mut Vec<(Names, String)>) -> Target {
        let Some((first, rest)) = path.split_first() else { return Target::Module(at.clone()) };
        let module = &self.0[at];
        let place = (at.clone(), first.clone());
        if first == "self" {
            return self.follow_inside(at, rest, passed);
        }
        if module.children.contains(first) {
            return self.follow_inside(&[&at[..], std::slice::from_ref(first)].concat(), rest, passed);
        }
        if module.items.contains(first) {
            return Target::Item(at.clone());
        }
        match module.uses.get(first) {
            Some(meant) if !passed.contains(&place) => {
                passed.push(place);
                match self.follow(at, meant, passed) {
                    Target::Module(inside) => self.follow_inside(&inside, rest, passed),
                    target => target,
                }
            }
            _ => Target::Unknown,
        }
    }

    /// The imports of all files.
    fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        let mut unknown = Vec::new();
        for (at, module) in &self.0 {
            for path in &module.named {
                match self.follow(at, path, &mut Vec::new()) {
                    Target::Item(there) if there != *at => {
                        let from_here = imports.entry(module.file.clone()).or_default();
                        from_here.entry(self.0[&there].file.clone()).or_insert_with(|| path.join("::"));
                    }
                    Target::Unknown => unknown.push(format!("{}: `{}`", module.file, path.join("::"))),
                    _ => {}
                }
            }
        }
        assert!(unknown.is_empty(), "expected names of the crate, found others: {unknown:#?}");
        imports
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        if let Some(name) = defined(item) {
            self.items.insert(name);
        }
        // What a macro defines belongs to the file with the macro, which alone uses it.
        if let Item::Macro(ItemMacro { ident: Some(_), mac, .. }) = item {
            let tokens = mac.tokens.to_string();
            let defined = Regex::new(r"\b(?:const|enum|fn|static|struct|trait|type) ([A-Za-z_]\w*)");
            let defined = defined.expect("a regular expression");
            self.items.extend(defined.captures_iter(&tokens).map(|found| found[1].to_owned()));
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        assert!(module.content.is_none(), "{}: expected `mod {};`, found a body", self.file, module.ident);
        self.children.insert(module.ident.to_string());
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut paths = Vec::new();
        leaves(&item.tree, &Names::new(), &mut paths);
        for (name, path) in paths {
            // A trait may be imported only for its methods, which no path names.
            if matches!(item.vis, Visibility::Inherited) {
                self.named.insert(path.clone());
            }
            self.uses.insert(name, path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.named.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_path(self, &call.path);
        if let Ok(arguments) = call.parse_body_with(Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated) {
            return arguments.iter().for_each(|argument| self.visit_expr(argument));
        }
        let path = Regex::new(r"\b[A-Za-z_]\w*(?: :: [A-Za-z_]\w*)+").expect("a regular expression");
        let tokens = call.tokens.to_string();
        self.named.extend(path.find_iter(&tokens).map(|path| path.as_str().split(" :: ").map(str::to_owned).collect()));
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
    };
    attributes.iter().any(is_test)
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item adds to its module.
fn defined(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        _ => return None,
    })
}

/// The names that a `use` brings in, each with the path that it stands for.
fn leaves(tree: &UseTree, before: &Names, found: &mut Vec<(String, Names)>) {
    let with = |name: &syn::Ident| [&before[..], &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident), found),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((before.last().cloned().unwrap_or_default(), before.clone()))
        }
        UseTree::Name(name) => found.push((name.ident.to_string(), with(&name.ident))),
        UseTree::Rename(rename) => found.push((rename.rename.to_string(), with(&rename.ident))),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
        // This must be the variants of an enum. The names of a module would be unknown, and each would look like one of
        // ours.
        UseTree::Glob(_) => found.push(("*".to_owned(), before.clone())),
    }
}

#[test]
fn names_lead_to_the_files_that_define_them() {
    let mut tree = Tree::default();
    let mut add = |file: &str, text: &str| {
        let inside = file.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("lib");
        let at: Names = inside.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        tree.add(text, file, &at);
    };
    add("lib.rs", "mod low; mod high; mod methods; mod user;");
    add("user.rs", "use crate::high::Listed; fn f(listed: Listed) {}");
    add(
        "low/mod.rs",
        "mod deep; mod side; pub use deep::{Deep as Renamed, Kind}; pub struct Own; pub(crate) use side::*;",
    );
    add("low/deep.rs", "pub struct Deep; pub enum Kind { A, B } fn f() { super::super::methods::go() }");
    add("low/side.rs", "use super::deep::Kind::{self, *}; use std::fmt; fn f(kind: Kind) -> fmt::Result { A }");
    add("methods.rs", "pub trait Go {} pub fn go() {}");
    add(
        "high.rs",
        "use crate::low::{self, Own}; use crate::methods::Go as _;
         fn f() { assert!(matches!(x, low::Kind::A), \"{}\", self::g()); select! { _ = low::Renamed::x() => {} } }
         macro_rules! list { ($($of:ident::$name:ident),*) => { pub enum Listed { $($name($of::$name)),* } } }
         list! { low::Own }
         pub fn g() {} #[cfg(test)] mod tests { use crate::nowhere; }",
    );
    let imports = tree.imports();
    let check = |file: &str, expected: &[&str]| {
        let found: Vec<&str> = imports.get(file).into_iter().flat_map(BTreeMap::keys).map(String::as_str).collect();
        assert_eq!(found, expected, "{file}");
    };
    check("lib.rs", &[]);
    check("low/mod.rs", &[]);
    check("low/deep.rs", &["methods.rs"]);
    check("low/side.rs", &["low/deep.rs"]);
    check("user.rs", &["high.rs"]);
    check("high.rs", &["low/deep.rs", "low/mod.rs", "methods.rs"]);
}

#[test]
fn circles_are_found_whatever_their_length() {
    let check = |edges: &[(&str, &str)], expected: &[&str]| {
        let mut imports = Imports::new();
        for (from, to) in edges {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned(), "x".to_owned());
        }
        assert_eq!(circles(&imports), expected, "{edges:?}");
    };
    check(&[("a", "b"), ("a", "c"), ("b", "c")], &[]);
    check(&[("a", "b"), ("b", "a"), ("b", "c")], &["a imports b (`x`)", "b imports a (`x`)"]);
    check(
        &[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")],
        &["a imports b (`x`)", "b imports c (`x`)", "c imports a (`x`)"],
    );
}

#[test]
fn files_import_only_from_layers_declared_above_theirs() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("src/lib.rs");
    let declared =
        |line: &str| Some(line.trim_start_matches("pub ").strip_prefix("mod ")?.trim_end_matches(';').to_owned());
    let layers: Vec<String> = text.lines().filter_map(declared).collect();
    let layer = |file: &str| {
        let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
        let name = inside.split('/').next().unwrap_or(inside);
        layers.iter().position(|layer| layer == name).unwrap_or_else(|| panic!("`{name}` is not declared in lib.rs"))
    };
    let mut faults = Vec::new();
    for (from, others) in library().imports() {
        let upward = others.into_iter().filter(|(to, _)| layer(to) > layer(&from));
        faults.extend(upward.map(|(to, name)| format!("{from} imports {to} (`{name}`)")));
    }
    assert!(faults.is_empty(), "expected imports from the layers above in lib.rs only, found: {faults:#?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = circles(&library().imports());
    assert!(circles.is_empty(), "expected imports that point one way, found: {circles:#?}");
}
