//! What goes wrong where a stack of MCP servers is put together by hand (P1 to P15 of `docs/security.md`): it cannot be written here, or
//! what is wrong with it is told with the way out.

use std::collections::BTreeMap;
use std::path::Path;

use crds_schema::{AnyObject, Diagnostic, KindSpec, Loader, ManifestFile, ObjectKey, crosscheck};
use expect_test::{Expect, expect};

fn load(name: &str, text: &str) -> (Vec<AnyObject>, Vec<Diagnostic>) {
    let file = Loader::new().load(&ManifestFile { name, directory: "/srv", bytes: text.as_bytes() });
    (file.objects, file.diagnostics)
}

/// What is told of one file, a line each.
fn check(text: &str, expected: &Expect) {
    let (objects, mut diagnostics) = load("stack.yaml", text);
    diagnostics.extend(crosscheck(&objects.iter().collect::<Vec<_>>()));
    let lines: Vec<String> = diagnostics.iter().map(|diagnostic| format!("{}\n", diagnostic.one_line())).collect();
    expected.assert_eq(&lines.concat());
}

fn server(spec: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1\nkind: McpServer\nmetadata: {{ name: github }}\nspec:\n  image: mcp/github:1\n  {spec}\n"
    )
}

#[test]
fn the_engines_socket_is_refused_read_only_too_and_for_any_user() {
    check(
        &server(
            "mounts: [{ host: /var/run/docker.sock, path: /var/run/docker.sock, readOnly: true }]\n  user: \"1001:999\"",
        ),
        &expect![[r"
            stack.yaml:6:20 McpServer/github spec.mounts[0].host: E0215: `/var/run/docker.sock` of the host cannot be mounted: `/var/run` belongs to the host; mount a directory of your own, or set `security.profile: privileged`
        "]],
    );
}

#[test]
fn a_server_that_is_appended_to_the_end_of_a_file_is_refused_where_it_stands() {
    check(
        "apiVersion: evenkeel.dev/v1\nkind: Volume\nmetadata: { name: data }\nspec:\n  weather:\n    image: mcp/weather\n    user: \"1001\"\n",
        &expect![[r"
            stack.yaml:5:3 Volume/data spec.weather: E0111: unknown field `weather`; known fields: deletionPolicy, driver, driverOptions, engineName, labels, suspend
        "]],
    );
}

#[test]
fn a_fixed_name_and_a_check_of_health_are_no_fields_of_a_server() {
    check(
        &server("containerName: mcp-github\n  healthCheck: { command: [node, -e, \"console.log()\"] }"),
        &expect![[r"
            stack.yaml:6:3 McpServer/github spec.containerName: E0111: no field `containerName`; remove it: an update runs the new container beside the old one, and two cannot have one name
            stack.yaml:7:3 McpServer/github spec.healthCheck: E0111: no field `healthCheck`; remove it: the server itself is asked, in its protocol, and is ready when it answers
        "]],
    );
}

#[test]
fn a_secret_that_is_written_into_a_variable_or_an_argument_is_warned_of_and_not_repeated() {
    let spec = "env: { GITHUB_TOKEN: ghp_0123456789, DATABASE_URL: \"postgres://a:hunter2@db/app\", TOKEN_FILE: /run/t, DEBUG_KEY: \"true\" }\n  \
                args: [--dsn, \"postgres://a:hunter2@db/app\"]";
    check(
        &server(spec),
        &expect![[r"
        stack.yaml:6:24 McpServer/github spec.env.GITHUB_TOKEN: E0250: the value of `GITHUB_TOKEN` looks like a secret, and whoever reads the manifest or inspects the container knows it; mount it from a file: `mounts: [{ secretFile: ./FILE, path: /run/secrets/FILE }]`, and write that path to `GITHUB_TOKEN_FILE` where the program knows such a variable
        stack.yaml:6:54 McpServer/github spec.env.DATABASE_URL: E0250: the value of `DATABASE_URL` holds a password, and whoever reads the manifest or inspects the container knows it; mount it from a file: `mounts: [{ secretFile: ./FILE, path: /run/secrets/FILE }]`, and write that path to `DATABASE_URL_FILE` where the program knows such a variable
        stack.yaml:7:17 McpServer/github spec.args[1]: E0250: the argument holds a password, and whoever reads the manifest or inspects the container knows it; mount it from a file: `mounts: [{ secretFile: ./FILE, path: /run/secrets/FILE }]`, and have the program read it there
    "]],
    );
    for text in [server(spec), server(spec).replace("kind: McpServer", "kind: Deployment")] {
        let (objects, diagnostics) = load("stack.yaml", &text);
        let codes: Vec<&str> = diagnostics.iter().map(|fault| fault.code.as_str()).collect();
        assert_eq!((objects.len(), codes), (1, vec!["E0250"; 3]), "it is taken all the same");
        let told = serde_json::to_string(&diagnostics).unwrap();
        assert!(!told.contains("hunter2") && !told.contains("ghp_"), "{told}");
    }
}

#[test]
fn the_label_of_the_audit_is_on_every_server_and_nobodys_to_set() {
    check(
        &server("labels: { mcp.governance.audit: \"false\" }"),
        &expect![[r#"
        stack.yaml:6:35 McpServer/github spec.labels["mcp.governance.audit"]: E0246: the label `mcp.governance.audit` is given by the server itself; remove it; `risk` decides the level
    "#]],
    );
}

#[test]
fn an_image_without_a_version_is_told_of_and_used() {
    let pinned = format!("mcp/github@sha256:{}", "a".repeat(64));
    for kind in ["McpServer", "Deployment"] {
        let codes = |image: &str| {
            let text = server("").replace("mcp/github:1", image).replace("kind: McpServer", &format!("kind: {kind}"));
            let (objects, diagnostics) = load("stack.yaml", &text);
            assert_eq!(objects.len(), 1, "{kind} {image}");
            diagnostics.into_iter().map(|fault| fault.code).collect::<Vec<_>>()
        };
        assert_eq!(
            (codes("mcp/github"), codes("mcp/github:latest")),
            (vec!["E0252".to_owned()], vec!["E0252".to_owned()])
        );
        assert!(codes("mcp/github:1").is_empty() && codes(&pinned).is_empty());
    }
    check(
        &server("").replace("mcp/github:1", "mcp/github:latest"),
        &expect![[r"
        stack.yaml:5:10 McpServer/github spec.image: E0252: `mcp/github:latest` names no version: it is whatever is the newest when it is fetched; write a tag that stays, such as `mcp/github:1.4`, or better a digest: `mcp/github@sha256:…`
    "]],
    );
}

#[test]
fn a_server_on_the_hosts_own_network_is_refused() {
    check(
        &server("security: { hostNetwork: true }"),
        &expect![[r"
        stack.yaml:6:28 McpServer/github spec.security.hostNetwork: E0227: the profile `restricted` does not allow `hostNetwork: true`; remove it, or set `security.profile: privileged`
    "]],
    );
}

#[test]
fn a_port_that_is_published_from_internal_networks_alone_is_told_of() {
    let network = |name: &str, spec: &str| {
        format!("apiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: {{ name: {name} }}\nspec: {spec}\n---\n")
    };
    let dashboard = |networks: &str| {
        let (inside, outside) = (network("mcp-internal", "{ internal: true }"), network("mcp-public", "{}"));
        format!(
            "{inside}{outside}apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{ name: prometheus }}\nspec:\n  image: prom/prometheus:v3.5.0\n  networks: {networks}\n  ports: [{{ port: 9090, publish: 9090 }}]\n"
        )
    };
    check(
        &dashboard("[mcp-internal]"),
        &expect![[r"
        stack.yaml:11:1 Deployment/prometheus spec.ports[0].publish: E0214: a port is published, and Network/mcp-internal, as every network that it joins, is internal: nobody outside reaches it; join a Network that is not internal as well, or remove `publish`
    "]],
    );
    check(&dashboard("[mcp-internal, mcp-public]"), &expect![""]);
}

#[test]
fn what_a_server_depends_on_may_stand_in_another_file_and_is_told_of_where_it_is_in_none() {
    let dependant = server("dependsOn: [{ kind: Deployment, name: registry }]");
    check(
        &dependant,
        &expect![[r"
        stack.yaml:1:1 McpServer/github spec.dependsOn[0]: E0217: Deployment/registry is not defined; no Deployment is defined in the namespace `default`
    "]],
    );
    let registry = "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: { name: registry }\nspec: { image: \"registry:2\" }\n";
    let mut objects = load("stack.yaml", &dependant).0;
    objects.extend(load("registry.yaml", registry).0);
    assert_eq!(crosscheck(&objects.iter().collect::<Vec<_>>()), []);
}

#[test]
fn servers_of_the_platform_that_need_the_world_join_a_network_that_leads_there() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/mcp-platform");
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (found, diagnostics) = load(&name, &std::fs::read_to_string(&path).unwrap());
        assert_eq!(diagnostics, [], "{name}");
        objects.extend(found);
    }
    assert_eq!(crosscheck(&objects.iter().collect::<Vec<_>>()), []);
    let is_internal: BTreeMap<ObjectKey, bool> = objects
        .iter()
        .filter_map(|object| {
            let KindSpec::Network(network) = &object.spec else { return None };
            Some((object.key(), network.internal))
        })
        .collect();
    let leads_out = |server: &str| {
        let object = objects.iter().find(|object| object.metadata.name.as_str() == server).unwrap();
        let KindSpec::McpServer(spec) = &object.spec else { panic!("{server} is no server") };
        let joined = format!("{:?}", spec.networks);
        let is_elsewhere = spec.remote.is_some();
        is_elsewhere
            || is_internal.iter().any(|(network, is_internal)| !is_internal && joined.contains(network.name.as_str()))
    };
    for server in ["github", "fetch", "weather", "api-testing"] {
        assert!(leads_out(server), "{server}");
    }
    for server in ["time", "filesystem", "git", "memory", "shell", "database"] {
        assert!(!leads_out(server), "{server} needs no way out");
    }
}
