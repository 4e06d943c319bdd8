//! Which files are programs of their own, and which belong to others: a library makes sense only with what uses it.

use gwp_compile::file_of_use;
use gwp_syntax::{TokenKind, tokens};
use std::collections::{BTreeMap, BTreeSet};

/// The files that a text names with `use`, as names relative to where `name` is.
pub fn used_files(name: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut begins = true;
    let mut found = Vec::new();
    for pair in tokens.windows(2) {
        let [word, path] = pair else { continue };
        if begins && word.str(text) == "use" && path.kind == TokenKind::Text {
            let path = path.str(text).trim_matches('"');
            found.push(file_of_use(name, path));
        }
        begins = word.kind == TokenKind::Newline;
    }
    found
}

/// For some open files, the files to compile: those that reach them through `use` and that no other file uses. A file
/// that nobody uses is its own. `uses` holds, for each known file, the files it uses.
pub fn entries(open: &[String], uses: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (file, used) in uses {
        for name in used.iter().filter(|name| *name != file) {
            users.entry(name).or_default().push(file);
        }
    }
    let mut found = BTreeSet::new();
    for file in open {
        let mut seen: BTreeSet<&str> = [file.as_str()].into();
        let mut next = vec![file.as_str()];
        let mut roots = BTreeSet::new();
        while let Some(file) = next.pop() {
            let of_file = users.get(file).map_or(&[][..], Vec::as_slice);
            if of_file.is_empty() {
                roots.insert(file.to_owned());
            }
            next.extend(of_file.iter().filter(|user| seen.insert(user)));
        }
        // files that use each other in a ring have no beginning
        if roots.is_empty() {
            roots.insert(file.clone());
        }
        found.extend(roots);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        edges.iter().map(|(file, used)| ((*file).to_owned(), owned(used))).collect()
    }

    fn of(open: &str, edges: &[(&str, &[&str])]) -> Vec<String> {
        entries(&[open.to_owned()], &graph(edges)).into_iter().collect()
    }

    #[test]
    fn a_library_is_compiled_from_the_programs_that_reach_it() {
        let edges: &[(&str, &[&str])] =
            &[("a", &["lib"]), ("b", &["part"]), ("part", &["lib"]), ("lib", &[]), ("c", &[])];
        assert_eq!(of("lib", edges), ["a", "b"]);
        assert_eq!(of("part", edges), ["b"]);
        assert_eq!(of("c", edges), ["c"]);
        assert_eq!(of("unknown", edges), ["unknown"]);
    }

    #[test]
    fn rings_have_an_end() {
        let edges: &[(&str, &[&str])] = &[("a", &["b"]), ("b", &["a"]), ("c", &["c"])];
        assert_eq!(of("a", edges), ["a"]);
        assert_eq!(of("c", edges), ["c"]);
    }

    #[test]
    fn uses_are_found_where_statements_begin() {
        let text = "use \"lib/a.gwp\" // use \"no.gwp\"\nconst use = \"x\"\nuse \"../b.gwp\"\nuse broken\n";
        assert_eq!(used_files("plant/main.gwp", text), ["plant/lib/a.gwp", "b.gwp"]);
    }
}
