//! Checks over all objects together.

use crds_schema::{AnyObject, Diagnostic, Loader, ManifestFile, crosscheck};
use expect_test::{Expect, expect};

fn check(manifests: &str, expected: &Expect) {
    let loader = Loader::new();
    let mut objects: Vec<AnyObject> = Vec::new();
    for (index, text) in manifests.split("===\n").enumerate() {
        let name = format!("{}.yaml", char::from(b'a' + u8::try_from(index).unwrap()));
        let text: String = text
            .lines()
            .map(|line| match line.split_once(' ') {
                Some((head, spec)) if !spec.is_empty() => {
                    let (kind, name) = head.split_once('/').unwrap();
                    format!("---\n{{ apiVersion: evenkeel.dev/v1, kind: {kind}, metadata: {{ name: {name} }}, spec: {spec} }}\n")
                }
                _ => String::new(),
            })
            .collect();
        let file = loader.load(&ManifestFile { name: &name, directory: "/srv", bytes: text.as_bytes() });
        assert_eq!(file.diagnostics, [], "{text}");
        objects.extend(file.objects);
    }
    let references: Vec<&AnyObject> = objects.iter().collect();
    let mut lines: Vec<String> = crosscheck(&references).iter().map(Diagnostic::one_line).collect();
    lines.push(String::new());
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn one_object_in_two_files_is_refused_in_both() {
    check(
        "Volume/data {}\n===\nVolume/data {}\n",
        &expect![[r"
        a.yaml:2:1 Volume/data metadata.name: E0202: Volume/data is defined twice, also in b.yaml:2; remove one, or give it another name or namespace
        b.yaml:2:1 Volume/data metadata.name: E0202: Volume/data is defined twice, also in a.yaml:2; remove one, or give it another name or namespace
    "]],
    );
}

#[test]
fn two_gateways_or_a_gateway_and_a_container_at_one_port_are_refused() {
    check(
        "McpGateway/a {}\nMcpGateway/b { listen: \"127.0.0.1:3011\" }\nDeployment/c { image: \"x:1\", ports: [{ port: 80, publish: \"10.0.0.1:3010\" }] }\n",
        &expect![""],
    );
    check(
        "McpGateway/a {}\nMcpGateway/b { listen: \"127.0.0.1:3010\" }\n",
        &expect![[r"
        a.yaml:2:1 McpGateway/a spec: E0212: port 3010/tcp of the host is also published by McpGateway/b at a.yaml:4; publish one of them at another port or address
        a.yaml:4:1 McpGateway/b spec.listen: E0212: port 3010/tcp of the host is also published by McpGateway/a at a.yaml:2; publish one of them at another port or address
    "]],
    );
    check(
        "McpGateway/a {}\nDeployment/b { image: \"x:1\", ports: [{ port: 80, publish: 3010 }] }\n",
        &expect![[r"
        a.yaml:2:1 McpGateway/a spec: E0212: port 3010/tcp of the host is also published by Deployment/b at a.yaml:4; publish one of them at another port or address
        a.yaml:4:1 Deployment/b spec.ports[0].publish: E0212: port 3010/tcp of the host is also published by McpGateway/a at a.yaml:2; publish one of them at another port or address
    "]],
    );
}

#[test]
fn what_servers_join_and_depend_on_must_be_defined_and_have_an_order() {
    check(
        "McpServer/a { image: \"x:1\", networks: [back], dependsOn: [{ kind: McpServer, name: b }] }\n\
         McpServer/b { remote: { url: \"https://mcp.example.com/\" } }\n\
         McpServer/c { image: \"x:1\", dependsOn: [{ kind: mcp, name: d }] }\nMcpServer/d { image: \"x:1\", dependsOn: [{ kind: McpServer, name: c }] }\n",
        &expect![[r"
            a.yaml:2:1 McpServer/a spec.networks[0]: E0217: Network/back is not defined; no Network is defined in the namespace `default`
            a.yaml:6:1 McpServer/c spec.dependsOn[0]: E0218: dependencies form a cycle: McpServer/c -> McpServer/d -> McpServer/c; remove one of these dependencies
            a.yaml:8:1 McpServer/d spec.dependsOn[0]: E0218: dependencies form a cycle: McpServer/d -> McpServer/c -> McpServer/d; remove one of these dependencies
        "]],
    );
}

#[test]
fn host_ports_clash_on_one_address_and_with_every_address() {
    check(
        "Deployment/a { image: \"x:1\", ports: [{ port: 80, publish: 8080 }] }\n\
         Deployment/b { image: \"x:1\", ports: [{ port: 80, publish: \"10.0.0.1:8080\" }] }\n\
         Deployment/c { image: \"x:1\", ports: [{ port: 80, publish: 8080, protocol: udp }] }\n\
         Deployment/d { image: \"x:1\", ports: [{ port: 80, publish: \"[::]:8080\" }] }\n",
        &expect![""],
    );
    check(
        "Deployment/a { image: \"x:1\", ports: [{ port: 80, publish: 8080 }] }\n\
         Deployment/b { image: \"x:1\", ports: [{ port: 80, publish: \"0.0.0.0:8080\" }] }\n",
        &expect![[r"
            a.yaml:2:1 Deployment/a spec.ports[0].publish: E0212: port 8080/tcp of the host is also published by Deployment/b at a.yaml:4; publish one of them at another port or address
            a.yaml:4:1 Deployment/b spec.ports[0].publish: E0212: port 8080/tcp of the host is also published by Deployment/a at a.yaml:2; publish one of them at another port or address
        "]],
    );
}

#[test]
fn undefined_references_are_warnings_that_list_what_there_is() {
    check(
        "Network/back {}\nNetwork/front {}\n\
         Deployment/a { image: \"x:1\", networks: [bakc], mounts: [{ volume: data, path: /data }], dependsOn: [{ kind: Deployment, name: b }] }\n",
        &expect![[r"
            a.yaml:6:1 Deployment/a spec.dependsOn[0]: E0217: Deployment/b is not defined; defined: `a`
            a.yaml:6:1 Deployment/a spec.mounts[0].volume: E0217: Volume/data is not defined; no Volume is defined in the namespace `default`
            a.yaml:6:1 Deployment/a spec.networks[0]: E0217: Network/bakc is not defined; did you mean `back`?
        "]],
    );
}

#[test]
fn a_cycle_of_dependencies_is_printed() {
    check(
        "Deployment/a { image: \"x:1\", dependsOn: [{ kind: Deployment, name: b }] }\n\
         Deployment/b { image: \"x:1\", dependsOn: [{ kind: Deployment, name: c }] }\n\
         Deployment/c { image: \"x:1\", dependsOn: [{ kind: Deployment, name: a }] }\n\
         Deployment/d { image: \"x:1\", dependsOn: [{ kind: Deployment, name: a }] }\n",
        &expect![[r"
            a.yaml:2:1 Deployment/a spec.dependsOn[0]: E0218: dependencies form a cycle: Deployment/a -> Deployment/b -> Deployment/c -> Deployment/a; remove one of these dependencies
            a.yaml:4:1 Deployment/b spec.dependsOn[0]: E0218: dependencies form a cycle: Deployment/b -> Deployment/c -> Deployment/a -> Deployment/b; remove one of these dependencies
            a.yaml:6:1 Deployment/c spec.dependsOn[0]: E0218: dependencies form a cycle: Deployment/c -> Deployment/a -> Deployment/b -> Deployment/c; remove one of these dependencies
        "]],
    );
}

#[test]
fn subnets_addresses_and_engine_names_are_compared() {
    check(
        "Network/a { ipam: { subnets: [{ subnet: 10.77.0.0/16 }] } }\n\
         Network/b { ipam: { subnets: [{ subnet: 10.77.4.0/24 }] } }\n\
         Network/c { ipam: { subnets: [{ subnet: 10.78.0.0/24 }] }, engineName: plain }\n\
         Network/plain {}\n\
         Deployment/d { image: \"x:1\", networks: { c: { ipv4: 10.78.0.9 } } }\n\
         Deployment/e { image: \"x:1\", networks: { c: { ipv4: 10.78.0.9 } } }\n\
         Deployment/f { image: \"x:1\", networks: { c: { ipv4: 10.79.0.9 }, plain: { ipv4: 10.1.1.1 } } }\n",
        &expect![[r"
            a.yaml:2:1 Network/a spec.ipam.subnets[0].subnet: E0220: the subnet `10.77.0.0/16` overlaps `10.77.4.0/24` of Network/b at a.yaml:4; choose ranges that are apart
            a.yaml:4:1 Network/b spec.ipam.subnets[0].subnet: E0220: the subnet `10.77.4.0/24` overlaps `10.77.0.0/16` of Network/a at a.yaml:2; choose ranges that are apart
            a.yaml:6:1 Network/c spec.engineName: E0202: the network `plain` of the Engine is also that of Network/plain; give one of them another name
            a.yaml:8:1 Network/plain metadata.name: E0202: the network `plain` of the Engine is also that of Network/c; give one of them another name
            a.yaml:10:1 Deployment/d spec.networks.c.ipv4: E0221: the address `10.78.0.9` is also that of Deployment/e at a.yaml:12; choose another address
            a.yaml:12:1 Deployment/e spec.networks.c.ipv4: E0221: the address `10.78.0.9` is also that of Deployment/d at a.yaml:10; choose another address
            a.yaml:14:1 Deployment/f spec.networks.c.ipv4: E0221: the address `10.79.0.9` is not one of a container in Network/c; its subnets: `10.78.0.0/24`
            a.yaml:14:1 Deployment/f spec.networks.plain.ipv4: E0221: a fixed address needs a subnet, and Network/plain has none; add `ipam.subnets` to the network
        "]],
    );
}
