//! Properties of the loader as a whole.

use std::time::Instant;

use crds_schema::{Kind, Loader, ManifestFile, load};

const WEB: &str =
    "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: { name: web }\nspec:\n  image: nginx:1.29\n";

fn load_text(text: &str) -> crds_schema::LoadedFile {
    load(&ManifestFile { name: "a.yaml", directory: "/srv/app", bytes: text.as_bytes() })
}

#[test]
fn a_fault_of_one_document_leaves_the_others_alone() {
    let text = format!("{WEB}  imagee: x\n---\n{}", WEB.replace("web", "other"));
    let file = load_text(&text);
    let names: Vec<&str> = file.objects.iter().map(|object| object.metadata.name.as_str()).collect();
    assert_eq!(names, ["other"]);
    assert_eq!(file.declared.len(), 2, "the broken object is still the file's");
    assert_eq!(file.objects[0].source.line, 8);
    assert_eq!(file.diagnostics[0].object, "Deployment/default/web");
    assert_eq!((file.diagnostics[0].spans[0].line, file.diagnostics[0].spans[0].column), (6, 3));
    assert_eq!(file.diagnostics[0].spans[0].snippet, "  imagee: x");
}

#[test]
fn relative_host_paths_become_absolute_at_load() {
    let file = load_text(&format!("{WEB}  mounts: [{{ host: ./config, path: /config }}]\n"));
    let json = file.objects[0].spec.to_json();
    assert_eq!(json["mounts"][0]["host"], "/srv/app/config");
    let bytes = format!("{WEB}  mounts: [{{ host: ./config, path: /config }}]\n").into_bytes();
    let file = load(&ManifestFile { name: "a.yaml", directory: "", bytes: &bytes });
    assert_eq!(file.diagnostics[0].code, "E0215");
}

#[test]
fn a_fault_between_objects_is_located_at_its_field() {
    let text = format!("{WEB}  networks: [back]\n---\n{WEB}  networks: [back]\n");
    let file = load_text(&text);
    let objects: Vec<_> = file.objects.iter().collect();
    let mut faults = crds_schema::crosscheck(&objects);
    faults.retain(|fault| fault.code == "E0217");
    for fault in &mut faults {
        assert!(file.locate(fault, text.as_bytes()));
    }
    let places: Vec<_> = faults.iter().map(|fault| (fault.spans[0].line, fault.spans[0].column)).collect();
    assert_eq!(places, [(6, 14), (13, 14)]);
}

#[test]
fn no_fault_shows_a_line_that_holds_a_secret() {
    let told = |file: &crds_schema::LoadedFile| serde_json::to_string(&file.diagnostics).unwrap();
    let head = "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: { name: web }\n";
    for (code, spec) in [
        ("E0252", "{ image: nginx, env: { API_TOKEN: ghp-0123456789 } }"),
        ("E0111", "{ imagee: nginx, env: { API_TOKEN: ghp-0123456789 } }"),
        ("E0111", "{ imagee: nginx, args: [\"pg://a:ghp-0123456789@db\"] }"),
        ("E0118", "{ image: nginx, env: { API_TOKEN: !text ghp-0123456789 } }"),
        ("E0100", "{ image: nginx, env: { API_TOKEN: ghp-0123456789 ] }"),
        ("E0252", "{ env: { API_TOKEN:\n  ghp-0123456789 }, image: nginx }"),
        ("E0110", "{ image: nginx, image: nginx, env: { API_TOKEN: ghp-0123456789 } }"),
    ] {
        let file = load_text(&format!("{head}spec: {spec}\n"));
        assert!(file.diagnostics.iter().any(|fault| fault.code == code), "{}", told(&file));
        assert!(!told(&file).contains("ghp-"), "{}", told(&file));
    }
    // What another check finds there is put into the same line.
    let text =
        format!("{head}spec: {{ image: \"nginx:1\", networks: [back], env: {{ API_TOKEN: ghp-0123456789 }} }}\n");
    let file = load_text(&text);
    let mut faults = crds_schema::crosscheck(&file.objects.iter().collect::<Vec<_>>());
    assert!(faults.iter().any(|fault| fault.code == "E0217"), "{faults:?}");
    for fault in &mut faults {
        assert!(file.locate(fault, text.as_bytes()));
    }
    assert!(!serde_json::to_string(&faults).unwrap().contains("ghp-"), "{faults:?}");
}

#[test]
fn a_carriage_return_alone_ends_a_line_as_it_does_for_yaml() {
    let file = load_text("a: b\rc d: [\nimage: nginx\n");
    let shown: Vec<_> = file.diagnostics.iter().flat_map(|fault| &fault.spans).collect();
    assert!(shown.iter().any(|span| (span.line, span.column) == (1, 5)), "the character itself: {shown:?}");
    let lines = ["a: b", "c d: [", "image: nginx", ""];
    for span in shown {
        let line = usize::try_from(span.line).unwrap();
        assert_eq!(span.snippet, lines[line - 1], "line {line}");
    }
    let file = load_text("\u{feff}a: b\rc: d\r\n");
    assert_eq!(file.diagnostics.iter().filter(|fault| fault.code == "E0104").count(), 1);
    let bytes = b"\xef\xbb\xbfa\rbc\xff";
    let file = load(&ManifestFile { name: "a.yaml", directory: "/srv", bytes });
    assert_eq!((file.diagnostics[0].spans[0].line, file.diagnostics[0].spans[0].column), (2, 3));
}

#[test]
fn the_names_of_the_engines_own_networks_are_refused() {
    for name in ["bridge", "host", "none", "default"] {
        for (named, spec) in [(name, String::new()), ("back", format!("engineName: {name}"))] {
            let text = format!(
                "apiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: {{ name: {named} }}\nspec: {{ {spec} }}\n"
            );
            let file = load_text(&text);
            assert_eq!(file.diagnostics.first().map(|fault| fault.code.as_str()), Some("E0201"), "{text}");
            assert!(file.objects.is_empty(), "{text}");
        }
    }
}

#[test]
fn json_is_yaml_and_a_byte_order_mark_is_accepted() {
    let json = "\u{feff}{\n\t\"apiVersion\": \"evenkeel.dev/v1\",\n\t\"kind\": \"Volume\",\n\t\"metadata\": { \"name\": \"data\" }\n}\n";
    let file = load_text(json);
    assert_eq!(file.diagnostics, []);
    assert_eq!(file.objects[0].spec.kind(), Kind::Volume);
}

#[test]
fn what_the_loader_accepts_it_accepts_again_when_it_is_written_as_yaml() {
    let loader = Loader::new();
    for kind in Kind::ALL {
        for path in crate::examples::examples(*kind, "ok") {
            let bytes = std::fs::read(&path).unwrap();
            let first = loader.load(&ManifestFile { name: "a.yaml", directory: "/srv/app", bytes: &bytes });
            let yaml = crds_schema::yaml::to_yaml(&first.objects[0].to_json()).unwrap();
            let second = loader.load(&ManifestFile { name: "b.yaml", directory: "/", bytes: yaml.as_bytes() });
            assert!(!second.diagnostics.iter().any(crds_schema::Diagnostic::is_error), "{}\n{yaml}", path.display());
            assert_eq!(first.objects[0].spec, second.objects[0].spec);
        }
    }
}

#[test]
fn a_cut_file_never_panics_and_never_yields_a_different_object() {
    let whole = std::fs::read_to_string(&crate::examples::examples(Kind::Deployment, "ok")[1]).unwrap();
    let loader = Loader::new();
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let file = loader.load(&ManifestFile { name: "a.yaml", directory: "/srv", bytes: &whole.as_bytes()[..end] });
        assert!(file.objects.len() <= 1);
    }
}

#[test]
fn a_thousand_manifests_load_quickly() {
    let loader = Loader::new();
    let files: Vec<String> = (0..1000)
        .map(|index| {
            format!(
                "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{ name: web-{index} }}\nspec:\n  image: nginx:1.29\n  \
                 env: {{ LOG_LEVEL: info, RETRIES: \"3\" }}\n  ports: [{{ name: http, port: 8080, publish: {} }}]\n  networks: [back]\n  \
                 mounts: [{{ volume: data, path: /data }}]\n  resources: {{ cpu: 500m, memory: 256MiB }}\n",
                10_000 + index
            )
        })
        .collect();
    let start = Instant::now();
    let mut count = 0;
    for text in &files {
        let file = loader.load(&ManifestFile { name: "a.yaml", directory: "/srv", bytes: text.as_bytes() });
        assert_eq!(file.diagnostics, []);
        count += file.objects.len();
    }
    assert_eq!(count, 1000);
    println!("1000 manifests in {:?}", start.elapsed());
}

/// Loads hostile bytes, and checks what must hold of any answer.
fn check_any(loader: &Loader, bytes: &[u8]) {
    let file = loader.load(&ManifestFile { name: "a.yaml", directory: "/srv", bytes });
    assert_eq!(file.objects.len(), file.source_maps.len());
    for object in &file.objects {
        assert!(file.declared.contains(&object.key()));
        assert!(object.validate().iter().all(|fault| !fault.is_error()));
    }
    for fault in &file.diagnostics {
        let line = fault.one_line();
        assert!(line.chars().count() <= 500 && !line.chars().any(char::is_control), "{line}");
    }
}

#[test]
fn damaged_files_never_panic() {
    let loader = Loader::new();
    let pieces: [&[u8]; 14] = [
        b"\t",
        b"\n",
        b"{",
        b"}",
        b"[",
        b"]",
        b"*a",
        b"&a ",
        b"\xff",
        b"\0",
        b": ",
        b"- ",
        "\u{202e}".as_bytes(),
        b"!!x ",
    ];
    // A fixed sequence: the same damage in every run.
    let mut state: u64 = 7;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    for kind in Kind::ALL {
        for path in ["ok", "bad"].iter().flat_map(|folder| crate::examples::examples(*kind, folder)) {
            let whole = std::fs::read(&path).unwrap();
            for _ in 0..60 {
                let mut bytes = whole.clone();
                for _ in 0..=next(3) {
                    let (start, length) = (next(bytes.len()), next(12));
                    let end = (start + length).min(bytes.len());
                    bytes.splice(start..end, pieces[next(pieces.len())].iter().copied());
                }
                check_any(&loader, &bytes);
            }
        }
    }
}
