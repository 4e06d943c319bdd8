//! Names of files for the compiler, and the URIs that editors have for them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::path::Path;

/// Everything but what RFC 3986 leaves as it is in a path.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// The name of the file of a URI: its path with `/` between the parts. URIs that are no files (a text that was never
/// saved) are names of their own.
pub fn name_of(uri: &str) -> String {
    let Some(rest) = uri.strip_prefix("file://") else { return uri.to_owned() };
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    let path = percent_decode_str(path).decode_utf8_lossy();
    gwp_compile::normal_path(without_slash(&path))
}

/// The URI of a file.
pub fn uri_of(name: &str) -> String {
    if is_no_file(name) {
        return name.to_owned();
    }
    let slash = if name.starts_with('/') { "" } else { "/" };
    format!("file://{slash}{}", utf8_percent_encode(name, ESCAPED))
}

/// True for the name of a text that is in no file.
pub fn is_no_file(name: &str) -> bool {
    let drive = |scheme: &str| scheme.len() == 1;
    name.split_once(':').is_some_and(|(scheme, _)| !drive(scheme) && !scheme.contains('/'))
}

/// The name of a path on disk.
pub fn name_of_path(path: &Path) -> String {
    gwp_compile::normal_path(&path.to_string_lossy())
}

/// `/c:/x` is `c:/x`.
fn without_slash(path: &str) -> &str {
    let drive = path.as_bytes().get(2) == Some(&b':') && path.starts_with('/');
    if drive { path.get(1..).unwrap_or(path) } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_there_and_back() {
        for (uri, name) in [
            ("file:///srv/a%20b/%C3%96l.gwp", "/srv/a b/Öl.gwp"),
            ("file:///c:/plant/a.gwp", "c:/plant/a.gwp"),
            ("untitled:Untitled-1", "untitled:Untitled-1"),
        ] {
            assert_eq!(name_of(uri), name);
            assert_eq!(uri_of(name), uri);
        }
        assert_eq!(name_of("file://localhost/x/../a.gwp"), "/a.gwp");
        assert_eq!(name_of("file:///c%3A/a.gwp"), "c:/a.gwp");
        assert!(!is_no_file("/a:b/c") && !is_no_file("c:/a") && is_no_file("git:/a"));
    }
}
