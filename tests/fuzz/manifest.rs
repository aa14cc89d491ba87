//! The text of a manifest, to objects and faults.

use std::sync::LazyLock;

use crds_schema::codes::error_code;
use crds_schema::yaml::to_yaml;
use crds_schema::{AnyObject, Diagnostic, Loader, ManifestFile};

static LOADER: LazyLock<Loader> = LazyLock::new(Loader::new);

/// What manifests, and attacks on parsers of YAML, are made of.
pub(super) const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b" ",
    b"  ",
    b"---\n",
    b"...\n",
    b": ",
    b"- ",
    b"? ",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\"",
    b"'",
    b"|\n",
    b">-\n",
    b"#",
    b"&a ",
    b"*a",
    b"<<: *a\n",
    b"!!str ",
    b"!!binary ",
    b"%YAML 1.2\n",
    b"null",
    b"~",
    b"true",
    b"no",
    b"0",
    b"-1",
    b"0x10",
    b"1e999",
    b".inf",
    b".nan",
    b"99999999999999999999",
    b"18446744073709551615",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b"\x1b[31m",
    b"\\u0000",
    b"\\x41",
    b"apiVersion: evenkeel.dev/v1\n",
    b"kind: Deployment\n",
    b"kind: Network\n",
    b"kind: Volume\n",
    b"metadata: { name: a }\n",
    b"spec:\n",
    b"image: a\n",
    b"ports: [80]\n",
    b"env: { A: b }\n",
    b"replicas: 3\n",
    b"512MiB",
    b"9223372036854775807B",
    b"500m",
    b"1h30m",
    b"10.0.0.0/33",
    b"::1/128",
    b"../..",
    b"${A}",
    b"$$",
];

/// Loads some bytes, and checks what must hold of any answer.
pub(super) fn target(bytes: &[u8]) {
    let load = |bytes| LOADER.load(&ManifestFile { name: "fuzz.yaml", directory: "/srv/app", bytes });
    let file = load(bytes);
    assert_eq!(format!("{file:?}"), format!("{:?}", load(bytes)), "loading is not deterministic");
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(&text).split('\n').collect();
    for fault in &file.diagnostics {
        check_fault(fault, &lines);
    }
    assert_eq!(file.objects.len(), file.source_maps.len());
    for object in &file.objects {
        assert!(file.declared.contains(&object.key()), "{} is not declared", object.key());
        check_object(object);
    }
}

/// A fault has a code with a page, is one clean line, and points into the text.
fn check_fault(fault: &Diagnostic, lines: &[&str]) {
    assert!(error_code(&fault.code).is_some(), "an unknown code: {fault:?}");
    assert!(!fault.message.is_empty() && !fault.spans.is_empty(), "it says nothing: {fault:?}");
    let line = fault.one_line();
    assert!(line.chars().count() <= 500 && !line.chars().any(char::is_control), "{line:?}");
    for span in &fault.spans {
        assert_eq!(span.file, "fuzz.yaml");
        let index = usize::try_from(span.line).unwrap().checked_sub(1);
        // What is missing at the end may be asked for on the line after it.
        let line = index.and_then(|index| if index == lines.len() { Some(&"") } else { lines.get(index) });
        let line = line.unwrap_or_else(|| panic!("line {} of {}: {fault:?}", span.line, lines.len()));
        let width = u32::try_from(line.chars().count()).unwrap();
        assert!((1..=width + 1).contains(&span.column), "column {} of {width}: {fault:?}", span.column);
    }
}

/// What is printed is what was loaded: the same object again, whether as JSON or as YAML.
fn check_object(object: &AnyObject) {
    assert!(object.validate().iter().all(|fault| !fault.is_error()), "a faulty object was let through");
    let json = object.to_json();
    let yaml = to_yaml(&json).unwrap();
    for printed in [json.to_string(), yaml] {
        let again = LOADER.load(&ManifestFile { name: "b.yaml", directory: "/", bytes: printed.as_bytes() });
        assert!(again.diagnostics.iter().all(|fault| !fault.is_error()), "{:?}\n{printed}", again.diagnostics);
        assert_eq!(again.objects.len(), 1, "{printed}");
        assert_eq!(again.objects[0].metadata, object.metadata, "{printed}");
        assert_eq!(again.objects[0].spec, object.spec, "{printed}");
    }
}
