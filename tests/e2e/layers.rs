//! Modules form layers: the picture in docs/architecture.md is checked against the `use` lines.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pgevents_tests::dist;

/// The modules of each layer, from top to bottom.
type Layers = Vec<Vec<String>>;

#[test]
fn every_module_uses_only_those_of_lower_layers() {
    let document = dist::workspace().join("docs/architecture.md");
    let document = fs::read_to_string(document).expect("read docs/architecture.md");
    let crates = ["proto", "relay", "plugin"].map(|name| (name, format!("{name}/src"), "crate::"));
    let ffi = ("plugin/src/ffi", "plugin/src/ffi".to_owned(), "super::");
    for (name, folder, root) in crates.into_iter().chain([ffi]) {
        let layers = layers(&document, name);
        let faults = faults(&layers, &sources(&dist::workspace().join(folder)), root);
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
}

#[test]
fn only_the_room_of_settings_knows_the_command_line() {
    let faults: Vec<_> = sources(&dist::workspace().join("relay/src"))
        .into_iter()
        .filter(|(path, text)| !path.starts_with("settings") && text.contains("clap::"))
        .map(|(path, _)| path)
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn the_core_imports_the_contract_and_nothing_else() {
    for (path, text) in sources(&dist::workspace().join("relay/src/delivery")) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let roots = code
            .lines()
            .filter_map(|line| line.trim().strip_prefix("use "));
        let foreign: Vec<_> = roots
            .map(head)
            .filter(|root| !["std", "super", "crate", "pgevents_proto"].contains(&root.as_str()))
            .collect();
        assert!(foreign.is_empty(), "{}: {foreign:?}", path.display());
    }
}

#[test]
fn comments_are_as_wide_as_the_format_allows() {
    const WIDTH: usize = 100;
    let crates = ["proto", "plugin", "relay", "tests", "benches"];
    let wide = crates.iter().flat_map(|name| {
        let files = sources(&dist::workspace().join(name));
        let files = files
            .into_iter()
            .filter(|(path, _)| !path.ends_with("v1.rs"));
        files.flat_map(move |(path, text)| {
            let comments = text
                .lines()
                .filter(|line| line.trim_start().starts_with("//"));
            // Rows of tables and addresses cannot be broken.
            let prose = comments.filter(|line| !line.contains(" | ") && !line.contains("://"));
            let wide = prose.filter(|line| line.chars().count() > WIDTH);
            let named = wide.map(|line| format!("{name}/{}: {line}", path.display()));
            named.collect::<Vec<_>>()
        })
    });
    let wide: Vec<_> = wide.collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn a_module_that_looks_up_or_beside_itself_is_named_with_its_file() {
    let layers = vec![
        vec!["top".to_owned()],
        vec!["left".to_owned(), "right".to_owned()],
    ];
    let file = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
    let good = [
        file("top.rs", "use crate::{left::{A, B}, right};"),
        file("left/inner.rs", "use crate::left::C;"),
        file(
            "right.rs",
            "// crate::top\n#[cfg(test)]\nmod tests { use crate::top; }",
        ),
    ];
    assert_eq!(faults(&layers, &good, "crate::"), Vec::<String>::new());
    let within = [file("left.rs", "use super::{right::x, top};")];
    assert_eq!(faults(&layers, &within, "super::").len(), 2);
    let bad = [
        file("left/inner.rs", "use crate::{\n    right::{x, y},\n};"),
        file("right.rs", "fn f() { crate::top::g() }"),
        file("new.rs", ""),
    ];
    let expected = [
        "left/inner.rs uses right, which is of the same layer or a higher one",
        "right.rs uses top, which is of the same layer or a higher one",
        "new.rs: the picture does not have its module",
    ];
    assert_eq!(faults(&layers, &bad, "crate::"), expected);
}

/// The layers of one crate: the lines of a block that is marked with its name.
fn layers(document: &str, name: &str) -> Layers {
    let start = format!("```layers {name}\n");
    let (_, rest) = document.split_once(&start).expect("the crate's picture");
    let (block, _) = rest.split_once("```").expect("its end");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    block.lines().map(words).collect()
}

/// What breaks the layers, in words.
fn faults(layers: &Layers, sources: &[(PathBuf, String)], root: &str) -> Vec<String> {
    let place: BTreeMap<&str, usize> = layers
        .iter()
        .enumerate()
        .flat_map(|(at, modules)| modules.iter().map(move |module| (module.as_str(), at)))
        .collect();
    let mut faults = Vec::new();
    for (path, text) in sources {
        let file = path.display();
        let module = module_of(path);
        let Some(own) = place.get(module.as_str()) else {
            faults.push(format!("{file}: the picture does not have its module"));
            continue;
        };
        for used in used(text, root) {
            match place.get(used.as_str()) {
                Some(at) if used != module && at <= own => faults.push(format!(
                    "{file} uses {used}, which is of the same layer or a higher one"
                )),
                _ => {}
            }
        }
    }
    faults
}

/// The module at the root of the crate that a file belongs to.
fn module_of(path: &Path) -> String {
    let first = path.iter().next().unwrap_or_default().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules behind `root` that a file names, apart from its tests.
fn used(text: &str, root: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut used = Vec::new();
    for (at, found) in code.match_indices(root) {
        match code[at + found.len()..].strip_prefix('{') {
            Some(group) => used.extend(group_heads(group)),
            None => used.push(head(&code[at + found.len()..])),
        }
    }
    used
}

/// The first names of the paths in a group, which `text` follows on the opening brace of.
fn group_heads(text: &str) -> Vec<String> {
    let (mut depth, mut start) = (0, 0);
    let mut heads = Vec::new();
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                heads.push(head(text[start..at].trim_start()));
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

fn head(path: &str) -> String {
    path.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

/// Every source file below a folder but the roots of its crates, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("list a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|end| end != "rs") {
                continue;
            }
            let name = path.strip_prefix(folder).expect("below it").to_owned();
            if !["lib.rs", "main.rs"].contains(&&*name.to_string_lossy()) {
                files.push((name, fs::read_to_string(path).expect("read a source")));
            }
        }
    }
    files.sort();
    assert!(files.len() > 5, "{files:?}");
    files
}
