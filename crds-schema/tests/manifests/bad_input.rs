//! The hostile and malformed inputs 1 to 75, by number: each gets its code, or says which ring covers it.

use crds_schema::{AnyObject, Diagnostic, Loader, ManifestFile, crosscheck};

/// What must become of an input.
enum Expected {
    /// A fault of this code, and no object from the faulty document.
    Code(&'static str),
    /// No fault.
    Accepted,
    /// A fault of this code from the checks over all objects.
    Cross(&'static str),
    /// Another ring of tests covers it.
    Elsewhere(&'static str),
    /// It waits for a capability of a later release.
    Later(&'static str),
}

use Expected::{Accepted, Code, Cross, Elsewhere, Later};

struct Case {
    number: u32,
    inputs: Vec<Vec<u8>>,
    expected: Expected,
}

fn object(kind: &str, name: &str, spec: &str) -> Vec<u8> {
    format!("apiVersion: evenkeel.dev/v1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {spec}\n").into_bytes()
}

/// Deployments with an image and these further fields.
fn deployments(fields: &[&str]) -> Vec<Vec<u8>> {
    fields.iter().map(|fields| object("Deployment", "web", &format!("{{ image: \"nginx:1.29\", {fields} }}"))).collect()
}

fn remote_servers(urls: &[&str]) -> Vec<Vec<u8>> {
    urls.iter().map(|url| object("McpServer", "far", &format!("{{ remote: {{ url: \"{url}\" }} }}"))).collect()
}

fn raw(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn named(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| object("Network", &format!("\"{name}\""), "{}")).collect()
}

fn networks(subnets: &[&str]) -> Vec<Vec<u8>> {
    subnets.iter().map(|subnet| object("Network", "back", &format!("{{ ipam: {{ subnets: [{subnet}] }} }}"))).collect()
}

fn joined(objects: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![objects.join(&b"---\n"[..])]
}

fn file_cases() -> Vec<Case> {
    let web = String::from_utf8(object("Deployment", "web", "{ image: nginx:1.29 }")).unwrap_or_default();
    let with = |from: &str, to: &str| vec![web.replace(from, to).into_bytes()];
    let laughs = "a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n";
    let aliases = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(2_000));
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(web.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let case = |number, inputs, expected| Case { number, inputs, expected };
    vec![
        case(1, raw(&["", "# only a comment\n", "---\n---\n"]), Accepted),
        case(2, raw(&["spec:\n\timage: nginx\n", "a:\n  b: 1\n\tc: 2\n"]), Code("E0102")),
        case(3, vec![b"kind: \xff\xfe".to_vec()], Code("E0103")),
        case(4, vec![utf16], Code("E0103")),
        case(5, vec![format!("\u{feff}{web}").into_bytes()], Accepted),
        case(
            6,
            [with("nginx:1.29", "ng\0inx"), with("nginx:1.29", "\"ng\\0inx\""), with("nginx:1.29", "ng\u{1b}inx")]
                .concat(),
            Code("E0104"),
        ),
        case(7, [with("web", "we\u{202e}b"), with("web", "we\u{200b}b")].concat(), Code("E0105")),
        case(8, raw(&[laughs]), Code("E0106")),
        case(9, raw(&[&aliases]), Code("E0106")),
        case(10, raw(&["a: &a [*a]\n"]), Code("E0106")),
        case(11, raw(&[&"[".repeat(20_000), &"{a: ".repeat(20_000), &"- ".repeat(20_000)]), Code("E0107")),
        case(12, vec![vec![b'a'; 5_000_000]], Code("E0108")),
        case(13, raw(&[&"---\na: 1\n".repeat(10_001), &format!("[{}]", "1,".repeat(20_000))]), Code("E0109")),
        case(14, deployments(&["image: other", "env: { A: b, A: c }"]), Code("E0110")),
        case(15, deployments(&["imagee: x"]), Code("E0111")),
        case(16, vec![object("Deployment", "web", "{}"), object("Deployment", "web", "{ imagee: x }")], Code("E0112")),
        case(
            17,
            deployments(&[
                "replicas: -1",
                "replicas: 1.5",
                "replicas: \"3\"",
                "replicas: 1e3",
                "replicas: 99999999999",
            ]),
            Code("E0113"),
        ),
        case(18, deployments(&["restart: yes", "init: yes", "init: \"true\"", "init: 1"]), Code("E0114")),
        case(19, deployments(&["env: { country: no }"]), Code("E0115")),
        case(20, deployments(&["env: { version: 1.10 }", "labels: { version: 1 }"]), Code("E0115")),
        case(
            21,
            deployments(&["ports: [{ port: 022 }]", "ports: [{ port: 22:22 }]", "ports: [{ port: 0x50 }]"]),
            Code("E0116"),
        ),
        case(22, deployments(&["user: ~", "user: [a]", "env: { A: null }", "command: null"]), Code("E0117")),
        case(23, deployments(&["user: !!python/object x", "user: !x y", "env: !m { a: b }"]), Code("E0118")),
        case(24, deployments(&["env: { <<: { a: b } }"]), Code("E0119")),
        case(
            25,
            deployments(&["env: { 1: a }", "env: { true: a }", "env: { ~: a }", "env: { ? [a] : b }"]),
            Code("E0120"),
        ),
        case(
            26,
            [
                with("evenkeel.dev/v1", "v1"),
                with("Deployment", "Pod"),
                with("kind: Deployment\n", ""),
                with("apiVersion", "version"),
            ]
            .concat(),
            Code("E0121"),
        ),
        case(27, raw(&["- a\n- b\n", "just text\n", "12\n"]), Code("E0122")),
        case(28, raw(&["{ \"a\": 1,, }", "{ \"a\": 1", "{ \"a\" 1 }\n{"]), Code("E0100")),
        case(29, vec![], Later("Secret: encrypted files")),
        case(30, vec![], Elsewhere("the directory source")),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn name_and_value_cases() -> Vec<Case> {
    let long = "a".repeat(64);
    let case = |number, inputs, expected| Case { number, inputs, expected };
    let huge = "x".repeat(200_000);
    let volume = |name: &str| object("Volume", "data", &format!("{{ engineName: \"{name}\" }}"));
    vec![
        case(31, named(&["Web_1", "-a", "a..b", "../x", &long, "", "😀", "CON"]), Code("E0201")),
        case(32, joined(&[object("Volume", "data", "{}"), object("Volume", "data", "{}")]), Cross("E0202")),
        case(33, deployments(&["labels: { evenkeel.dev/kind: x }"]), Code("E0203")),
        case(
            34,
            deployments(&[
                "labels: { \"a\\nb\": x }",
                "labels: { \"a=b\": x }",
                "env: { \"A=B\": x }",
                "env: { \"A\\nB\": x }",
                "env: { \"\": x }",
            ]),
            Code("E0204"),
        ),
        case(35, deployments(&[&format!("env: {{ A: \"{huge}\" }}")]), Code("E0205")),
        case(
            36,
            ["UPPER/Case", "a b", ":", "@sha256:zz", "", "https://example.com/x", "a/B:c"]
                .iter()
                .map(|image| object("Deployment", "web", &format!("{{ image: \"{image}\" }}")))
                .collect(),
            Code("E0206"),
        ),
        case(37, vec![], Later("Policy: images.requireDigest")),
        case(38, vec![], Later("Policy: images.allow")),
        case(39, deployments(&["command: nginx -g 'daemon off;'", "args: \"--port 80; id\""]), Code("E0209")),
        case(40, deployments(&["command: []", "command: [\"\"]"]), Code("E0210")),
        case(
            41,
            deployments(&[
                "ports: [{ port: 0 }]",
                "ports: [{ port: 65536 }]",
                "ports: [{ port: 99999 }]",
                "ports: [{ port: abc }]",
                "ports: [{ port: 80/foo }]",
                "ports: [{ port: 80, publish: \"90-80\" }]",
                "ports: [{ port: 80, publish: 0 }]",
                "ports: [{ port: 80, publish: \"127.0.0.1:70000\" }]",
                "ports: [{ port: 80 }, { port: 80 }]",
            ]),
            Code("E0211"),
        ),
        case(
            42,
            joined(&[
                object("Deployment", "a", "{ image: \"x:1\", ports: [{ port: 80, publish: 8080 }] }"),
                object("Deployment", "b", "{ image: \"x:1\", ports: [{ port: 80, publish: \"0.0.0.0:8080\" }] }"),
            ]),
            Cross("E0212"),
        ),
        case(
            43,
            deployments(&[
                "ports: [{ port: 80, publish: \"localhost:80\" }]",
                "ports: [{ port: 80, publish: \"host.example.com:80\" }]",
                "ports: [{ port: 80, publish: \":80\" }]",
                "ports: [{ port: 80, publish: \"*:80\" }]",
            ]),
            Code("E0213"),
        ),
        case(
            44,
            deployments(&[
                "networks: [], ports: [{ port: 80, publish: 80 }]",
                "security: { profile: privileged, hostNetwork: true }, ports: [{ port: 80, publish: 80 }]",
            ]),
            Code("E0214"),
        ),
        case(
            45,
            [
                "/",
                "/etc",
                "/var/run/docker.sock",
                "/run",
                "/proc/1/root/etc",
                "~/x",
                "/srv/../etc",
                "../../../etc",
                "//etc",
                "/./etc",
                "../../var/lib/docker",
            ]
            .iter()
            .flat_map(|path| deployments(&[&format!("mounts: [{{ host: \"{path}\", path: /x }}]")]))
            .collect(),
            Code("E0215"),
        ),
        case(
            46,
            vec![
                object("Volume", "data", "{ driverOptions: { type: none, o: bind, device: / } }"),
                object("Volume", "data", "{ driverOpts: { o: \"rw,RBIND\", device: /etc } }"),
                object("Volume", "data", "{ driverOptions: { device: /dev/sda } }"),
            ],
            Code("E0215"),
        ),
        case(
            47,
            deployments(&[
                "mounts: [{ tmpfs: 1MiB, path: data }]",
                "mounts: [{ tmpfs: 1MiB, path: / }]",
                "mounts: [{ tmpfs: 1MiB, path: /a }, { tmpfs: 1MiB, path: /a/ }]",
                "mounts: [{ tmpfs: 1MiB, path: /a/../b }]",
            ]),
            Code("E0216"),
        ),
        case(48, vec![volume("../x"), volume("x"), volume(&"x".repeat(256))], Code("E0201")),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn meaning_cases() -> Vec<Case> {
    let case = |number, inputs, expected| Case { number, inputs, expected };
    let depends = |name: &str, on: &str| {
        object("Deployment", name, &format!("{{ image: \"x:1\", dependsOn: [{{ kind: Deployment, name: {on} }}] }}"))
    };
    let fixed = |name: &str, address: &str| {
        object("Deployment", name, &format!("{{ image: \"x:1\", networks: {{ back: {{ ipv4: {address} }} }} }}"))
    };
    let back = object("Network", "back", "{ ipam: { subnets: [{ subnet: 10.77.0.0/24 }] } }");
    let other = object("Network", "other", "{ ipam: { subnets: [{ subnet: 10.77.0.0/16 }] } }");
    vec![
        case(49, deployments(&["networks: [nosuch]", "mounts: [{ volume: nosuch, path: /x }]"]), Cross("E0217")),
        case(50, joined(&[depends("a", "b"), depends("b", "a")]), Cross("E0218")),
        case(50, vec![depends("a", "a")], Code("E0218")),
        case(51, vec![], Later("probes; Ready needs no health check")),
        case(
            52,
            networks(&[
                "{ subnet: 10.77.0.0 }",
                "{ subnet: 10.77.0.0/24, gateway: 10.78.0.1 }",
                "{ subnet: 10.77.0.0/32 }",
                "{ subnet: 10.77.0.9/24 }",
                "{ subnet: 10.77.0.0/24, range: 10.78.0.0/25 }",
            ]),
            Code("E0220"),
        ),
        case(52, joined(&[back.clone(), other]), Cross("E0220")),
        case(53, joined(&[back.clone(), fixed("a", "10.78.0.5")]), Cross("E0221")),
        case(53, joined(&[back, fixed("a", "10.77.0.5"), fixed("b", "10.77.0.5")]), Cross("E0221")),
        case(
            54,
            deployments(&[
                "resources: { memory: 1000 }",
                "resources: { memory: -5 }",
                "resources: { memory: 1Q }",
                "resources: { memory: 1MiB }",
            ]),
            Code("E0222"),
        ),
        case(
            55,
            deployments(&["resources: { cpu: 0 }", "resources: { cpu: -1 }", "resources: { cpu: .nan }"]),
            Code("E0223"),
        ),
        case(56, deployments(&["resources: { pids: 0 }", "resources: { pids: -1 }"]), Code("E0224")),
        case(
            57,
            deployments(&[
                "ulimits: { nosuch: { soft: 1 } }",
                "ulimits: { core: { soft: 2, hard: 1 } }",
                "ulimits: { nofile: { soft: 20 } }",
            ]),
            Code("E0225"),
        ),
        case(
            58,
            deployments(&[
                "security: { capAdd: [NOPE] }",
                "security: { profile: restricted, user: \"1\", capAdd: [CAP_SYS_ADMIN] }",
            ]),
            Code("E0226"),
        ),
        case(
            59,
            deployments(&[
                "security: { privileged: true }",
                "security: { hostPid: true }",
                "security: { seccomp: Unconfined }",
            ]),
            Code("E0227"),
        ),
        case(
            60,
            deployments(&["user: \"99999999999\"", "security: { profile: restricted, user: root }", "user: \"a b\""]),
            Code("E0228"),
        ),
        case(61, deployments(&[&format!("hostname: {}", "h".repeat(65)), "hostname: my_host"]), Code("E0229")),
        case(
            62,
            deployments(&[
                "stop: { grace: -5 }",
                "stop: { grace: 0 }",
                "stop: { grace: 1000000000s }",
                "stop: { grace: 5 parsecs }",
            ]),
            Code("E0230"),
        ),
        case(63, deployments(&["stop: { signal: SIGNOPE }", "stop: { signal: SIGKILL, grace: 5s }"]), Code("E0231")),
        case(64, vec![], Later("probes")),
        case(65, vec![], Later("strategy: maxSurge and maxUnavailable")),
        case(
            66,
            deployments(&["replicas: 2, ports: [{ port: 80, publish: 80 }]", "replicas: 2, containerName: web"]),
            Code("E0234"),
        ),
        case(67, vec![], Elsewhere("the planner: condition Diverged")),
        case(68, vec![], Elsewhere("the planner: recreate in order")),
        case(69, vec![], Elsewhere("the planner: prune keeps volumes")),
        case(70, vec![], Elsewhere("prune and its guards")),
        case(71, vec![], Later("Secret")),
        case(
            72,
            remote_servers(&[
                "https://user:secret@mcp.example.com/",
                "http://mcp.example.com/",
                "https://10.0.0.1/",
                "http://169.254.169.254/",
                "https://metadata.google.internal/",
            ]),
            Code("E0239"),
        ),
        case(73, vec![], Later("the gateway: quarantined tools")),
        case(74, vec![], Later("GitRepository")),
        case(75, vec![], Elsewhere("the controller's configuration")),
    ]
}

#[test]
fn every_bad_input_gets_its_code() {
    let loader = Loader::new();
    let cases: Vec<Case> = [file_cases(), name_and_value_cases(), meaning_cases()].into_iter().flatten().collect();
    let mut skipped = Vec::new();
    let mut numbers: Vec<u32> = cases.iter().map(|case| case.number).collect();
    numbers.dedup();
    assert_eq!(numbers, (1..=75).collect::<Vec<u32>>());
    for case in &cases {
        if let Elsewhere(reason) | Later(reason) = case.expected {
            skipped.push(format!("{}: {reason}", case.number));
            continue;
        }
        assert!(!case.inputs.is_empty());
        for input in &case.inputs {
            check(&loader, case, input);
        }
    }
    println!("{} bad inputs are for others: {}", skipped.len(), skipped.join("; "));
    assert_eq!(skipped.len(), 15);
}

fn check(loader: &Loader, case: &Case, input: &[u8]) {
    let file = loader.load(&ManifestFile { name: "bad.yaml", directory: "/srv/app", bytes: input });
    let objects: Vec<&AnyObject> = file.objects.iter().collect();
    let cross = crosscheck(&objects);
    let shown: String = String::from_utf8_lossy(input).chars().take(300).collect();
    let lines: Vec<String> = file.diagnostics.iter().chain(&cross).map(Diagnostic::one_line).collect();
    let context = format!("case {}: {shown}\n{}", case.number, lines.join("\n"));
    for line in &lines {
        assert!(line.chars().count() <= 500 && !line.chars().any(char::is_control), "{context}");
    }
    match case.expected {
        Code(code) => {
            let fault = file.diagnostics.iter().find(|fault| fault.code == code);
            let fault = fault.unwrap_or_else(|| panic!("no {code}: {context}"));
            assert!(file.objects.is_empty(), "{context}");
            assert!(fault.spans.first().is_some_and(|span| span.line > 0 && span.file == "bad.yaml"), "{context}");
        }
        Cross(code) => {
            assert!(file.diagnostics.is_empty(), "{context}");
            assert!(cross.iter().any(|fault| fault.code == code && fault.object_key().is_some()), "{context}");
        }
        Accepted => assert!(lines.is_empty(), "{context}"),
        Elsewhere(_) | Later(_) => {}
    }
}
