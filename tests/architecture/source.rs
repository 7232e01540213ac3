//! Which paths a source file names.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One file below `src/`.
pub(crate) struct File {
    name: String,
    module: Vec<String>,
    paths: Vec<Vec<String>>,
}

/// Every file below `src/`, the conformance suite's among them.
pub(crate) fn files() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(File::read(&src, &path));
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

impl File {
    fn read(src: &Path, path: &Path) -> Self {
        let relative: PathBuf = path.strip_prefix(src).unwrap().with_extension("");
        let mut module: Vec<String> = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
            module.pop();
        }
        let text = std::fs::read_to_string(path).unwrap();
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut paths = Vec::new();
        walk(tokens, &module, &mut paths);
        Self { name: relative.display().to_string(), module, paths }
    }

    /// The path below `src/`, without its extension.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The path of its module, without `crate`.
    pub(crate) fn module(&self) -> &[String] {
        &self.module
    }

    /// The first step of its module's path: a folder or a file of `src/`.
    pub(crate) fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// Every path it names from `crate`, `super` or `self`, without `crate`. Test modules within it do not count.
    pub(crate) fn uses(&self) -> Vec<Vec<String>> {
        self.paths.clone()
    }

    /// A `mod.rs` or `lib.rs` lists what is in a room and hands it out.
    pub(crate) fn is_table_of_contents(&self) -> bool {
        self.name.ends_with("mod") || self.name == "lib"
    }

    /// The file that holds the item of this path.
    pub(crate) fn holding<'a>(files: &'a [Self], path: &[String]) -> Option<&'a Self> {
        let holds = |file: &&Self| path.starts_with(&file.module);
        files.iter().filter(holds).max_by_key(|file| file.module.len())
    }
}

/// Collects the paths in `tokens`, which stand in `module`.
fn walk(tokens: TokenStream, module: &[String], paths: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(after) = test_module(&tokens, at) {
            at = after;
        } else if is_path_start(&tokens, at) {
            at = path(&tokens, at, Vec::new(), module, paths);
        } else {
            if let TokenTree::Group(group) = &tokens[at] {
                walk(group.stream(), module, paths);
            }
            at += 1;
        }
    }
}

/// Where `#[cfg(test)] mod name { .. }` that begins at `at` ends.
fn test_module(tokens: &[TokenTree], at: usize) -> Option<usize> {
    let TokenTree::Group(attribute) = tokens.get(at + 1)? else { return None };
    (is_punct(tokens, at, '#') && attribute.stream().to_string().replace(' ', "") == "cfg(test)")
        .then_some(())?;
    let mut next = at + 2;
    // Further attributes, and a visibility.
    while is_punct(tokens, next, '#') {
        next += 2;
    }
    if word(tokens, next).as_deref() == Some("pub") {
        next += if matches!(tokens.get(next + 1), Some(TokenTree::Group(_))) { 2 } else { 1 };
    }
    (word(tokens, next).as_deref() == Some("mod")).then_some(next + 3)
}

fn is_path_start(tokens: &[TokenTree], at: usize) -> bool {
    let starts = matches!(word(tokens, at).as_deref(), Some("crate" | "super" | "self"));
    // `pub(crate)` and `self.field` go on otherwise.
    starts && separator(tokens, at + 1) && !(at > 1 && separator(tokens, at - 2))
}

/// Reads one path from `at`, the groups in braces spelled out; says where it ends.
fn path(
    tokens: &[TokenTree],
    mut at: usize,
    mut prefix: Vec<String>,
    module: &[String],
    paths: &mut Vec<Vec<String>>,
) -> usize {
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(_)) => prefix.push(word(tokens, at).unwrap()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut within = 0;
                while within < inner.len() {
                    within = path(&inner, within, prefix.clone(), module, paths) + 1;
                    // On to what follows the next comma: `name as other`.
                    while within < inner.len() && !is_punct(&inner, within - 1, ',') {
                        within += 1;
                    }
                }
                return at + 1;
            }
            Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => {}
            _ => break,
        }
        at += 1;
        if !separator(tokens, at) {
            break;
        }
        at += 2;
    }
    paths.extend(absolute(&prefix, module));
    at
}

/// The path from the crate's root.
fn absolute(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let mut from = match path.first()?.as_str() {
        "crate" => Vec::new(),
        _ => module.to_vec(),
    };
    for step in path {
        match step.as_str() {
            "crate" | "self" => {}
            "super" => drop(from.pop()),
            step => from.push(step.to_owned()),
        }
    }
    (!from.is_empty()).then_some(from)
}

fn word(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at)? {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn separator(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens, at, ':') && is_punct(tokens, at + 1, ':')
}

fn is_punct(tokens: &[TokenTree], at: usize, character: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}
