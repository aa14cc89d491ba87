//! Every code that a user can meet, with what `docs/errors/` and `evenkeel explain E0111` say about it.

use std::fmt::Write as _;

use crate::suggestion::nearest;

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    /// Such as `E0111`. A code is never given a second meaning.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// What is wrong, and why it is refused.
    pub explanation: &'static str,
    /// What causes it; empty where no text does.
    pub example: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Every code, in order.
pub const ERROR_CODES: &[ErrorCode] = &[
    ErrorCode {
        code: "E0100",
        title: "not valid YAML",
        explanation: "The text cannot be read as YAML: a bracket, a quote or an indentation is wrong. Documents after the next `---` are still read.",
        example: "spec: [a, b",
        remedy: "Look at the line that is named and at the one before it.",
    },
    ErrorCode {
        code: "E0101",
        title: "file became empty",
        explanation: "A file that held objects is now empty. An empty file is more often an accident than a wish, so its objects stay as they were.",
        example: "# nothing but a comment",
        remedy: "Remove the file, or confirm that its objects are to go.",
    },
    ErrorCode {
        code: "E0102",
        title: "tab used for indentation",
        explanation: "YAML indents with spaces only.",
        example: "spec:\n\timage: nginx",
        remedy: "Replace each tab by two spaces.",
    },
    ErrorCode {
        code: "E0103",
        title: "not UTF-8",
        explanation: "Manifests are UTF-8, with or without a byte-order mark.",
        example: "a file saved as UTF-16",
        remedy: "Save the file as UTF-8.",
    },
    ErrorCode {
        code: "E0104",
        title: "control character",
        explanation: "A character that moves a cursor or ends a string is not allowed: what is shown would not be what is read.",
        example: "image: nginx<ESC>[2J",
        remedy: "Remove it; in a value, write an escape in a double-quoted string. NUL is never allowed.",
    },
    ErrorCode {
        code: "E0105",
        title: "invisible character",
        explanation: "A character that shows nothing, or turns the direction of the text, makes two different names look alike.",
        example: "name: web<U+200B>",
        remedy: "Remove it, or write it as an escape in a double-quoted string.",
    },
    ErrorCode {
        code: "E0106",
        title: "anchors and aliases are not allowed",
        explanation: "A few lines with aliases can stand for gigabytes, and what a manifest says should stand where it is read.",
        example: "a: &x 1\nb: *x",
        remedy: "Write the value out.",
    },
    ErrorCode {
        code: "E0107",
        title: "nested too deeply",
        explanation: "More than 32 levels. No object needs more than ten.",
        example: "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        remedy: "Check for a bracket too many.",
    },
    ErrorCode {
        code: "E0108",
        title: "file too large",
        explanation: "A manifest file has at most 256KiB.",
        example: "a database dump named x.yaml",
        remedy: "Split the file; mount data as files instead of writing it into manifests.",
    },
    ErrorCode {
        code: "E0109",
        title: "too many objects or values",
        explanation: "A file has at most 1000 objects, and a document at most 10000 values.",
        example: "",
        remedy: "Split the file.",
    },
    ErrorCode {
        code: "E0110",
        title: "given twice",
        explanation: "A key of a mapping, or an entry of a list of names, is there twice. Which one was meant cannot be known.",
        example: "image: nginx:1.28\nimage: nginx:1.29",
        remedy: "Keep one of the two.",
    },
    ErrorCode {
        code: "E0111",
        title: "unknown field",
        explanation: "The kind has no field of this name. Nothing is ignored in silence, so that a typing error never becomes a default.",
        example: "imagee: nginx",
        remedy: "Use the spelling that is suggested, or `evenkeel explain KIND` to see the fields.",
    },
    ErrorCode {
        code: "E0112",
        title: "missing field",
        explanation: "A field without a default is not there.",
        example: "kind: Deployment without spec.image",
        remedy: "Add the field.",
    },
    ErrorCode {
        code: "E0113",
        title: "not an integer of the range",
        explanation: "A whole decimal number is expected, without quotes and inside the range that is named.",
        example: "replicas: \"3\"",
        remedy: "Write a number such as `3`.",
    },
    ErrorCode {
        code: "E0114",
        title: "not true or false",
        explanation: "Booleans are written `true` and `false`, nothing else; and where a word is expected, a boolean is not one.",
        example: "init: yes",
        remedy: "Write `true` or `false`; quote a word that looks like a boolean.",
    },
    ErrorCode {
        code: "E0115",
        title: "string must be quoted",
        explanation: "Without quotes this is a number, a boolean or null for some YAML parsers: `1.10` would become 1.1, and `no` false.",
        example: "env: { VERSION: 1.10 }",
        remedy: "Put it in double quotes.",
    },
    ErrorCode {
        code: "E0116",
        title: "ambiguous number",
        explanation: "What this number means depends on the parser: `022` may be 18, `22:22` may be 1342.",
        example: "port: 022",
        remedy: "Write a decimal number without a leading zero, or quote what is text.",
    },
    ErrorCode {
        code: "E0117",
        title: "wrong type",
        explanation: "Another type of value is expected: a string, a list, a mapping.",
        example: "image: [nginx]",
        remedy: "Write a value of the type that is named, or leave the field out.",
    },
    ErrorCode {
        code: "E0118",
        title: "YAML tags and directives are not allowed",
        explanation: "Tags ask a parser to build something other than data.",
        example: "!!python/object:os.system x",
        remedy: "Write the plain value.",
    },
    ErrorCode {
        code: "E0119",
        title: "merge keys are not allowed",
        explanation: "`<<` copies fields from elsewhere. It needs aliases, and YAML 1.2 has dropped it.",
        example: "<<: { image: nginx }",
        remedy: "Write the fields out.",
    },
    ErrorCode {
        code: "E0120",
        title: "keys must be strings",
        explanation: "A key that is a number, a boolean, null, a list or a mapping.",
        example: "env: { 1: a }",
        remedy: "Quote the key.",
    },
    ErrorCode {
        code: "E0121",
        title: "unsupported apiVersion or kind",
        explanation: "The head of a document says what it is: `apiVersion: evenkeel.dev/v1` and one of the kinds of this release.",
        example: "kind: Deploymant",
        remedy: "Use a supported kind, spelled exactly.",
    },
    ErrorCode {
        code: "E0122",
        title: "mapping expected",
        explanation: "An object is a mapping of fields.",
        example: "- kind: Network",
        remedy: "Begin with `apiVersion`, `kind`, `metadata` and `spec`; put several objects into one file with `---` between them.",
    },
    ErrorCode {
        code: "E0123",
        title: "cannot decrypt",
        explanation: "The file is encrypted, and no identity for it is at hand.",
        example: "a SOPS file without its age key",
        remedy: "Give the controller the identity, or remove the file.",
    },
    ErrorCode {
        code: "E0124",
        title: "not a regular file inside the manifest directory",
        explanation: "A symbolic link that leads out of the directory, a pipe, a device or an unreadable file.",
        example: "x.yaml -> /etc/shadow",
        remedy: "Put a regular file there.",
    },
    ErrorCode {
        code: "E0125",
        title: "comes in a later release",
        explanation: "The field, value or kind is planned, but this release does not know it.",
        example: "readiness: { tcp: { port: 80 } }",
        remedy: "Do what the hint says, or leave it out.",
    },
    ErrorCode {
        code: "E0126",
        title: "value not accepted",
        explanation: "The value is of the right type, but not one of those that are known or possible.",
        example: "restart: Sometimes",
        remedy: "Use one of the values that are listed.",
    },
    ErrorCode {
        code: "E0201",
        title: "invalid name",
        explanation: "Names of objects are RFC 1123 labels: 1 to 63 of `a-z`, `0-9` and `-`. Exact names in the Engine follow its own rule.",
        example: "name: Web_1",
        remedy: "Use lower-case letters, digits and hyphens.",
    },
    ErrorCode {
        code: "E0202",
        title: "defined twice",
        explanation: "Two objects have one kind, namespace and name, or one name in the Engine. Both are refused, because neither is known to be the right one.",
        example: "two files with Deployment/web",
        remedy: "Remove one, or rename it.",
    },
    ErrorCode {
        code: "E0203",
        title: "reserved prefix",
        explanation: "Labels and annotations that begin with `evenkeel.dev/` are how Evenkeel knows what is its own.",
        example: "labels: { evenkeel.dev/kind: x }",
        remedy: "Use a prefix of your own.",
    },
    ErrorCode {
        code: "E0204",
        title: "invalid key",
        explanation: "The key of a label, an option or a variable has a character that is not allowed.",
        example: "env: { \"A=B\": x }",
        remedy: "Use letters, digits and `_`.",
    },
    ErrorCode {
        code: "E0205",
        title: "value too large",
        explanation: "A value of a variable or label has at most 128KiB.",
        example: "a certificate bundle in env",
        remedy: "Mount a file.",
    },
    ErrorCode {
        code: "E0206",
        title: "invalid image reference",
        explanation: "It is not `[REGISTRY/]PATH[:TAG][@DIGEST]`. Paths are lower-case.",
        example: "image: UPPER/Case",
        remedy: "Write for example `nginx:1.29`.",
    },
    ErrorCode {
        code: "E0207",
        title: "digest required",
        explanation: "A policy demands images by digest.",
        example: "image: nginx:1.29",
        remedy: "Add `@sha256:` and the digest.",
    },
    ErrorCode {
        code: "E0208",
        title: "registry not allowed",
        explanation: "A policy lists the registries that images may come from.",
        example: "image: docker.io/x",
        remedy: "Use an allowed registry.",
    },
    ErrorCode {
        code: "E0209",
        title: "list expected",
        explanation: "A list is expected, one entry a word. No shell splits a text into words.",
        example: "args: \"--port 80\"",
        remedy: "Write `[\"--port\", \"80\"]`.",
    },
    ErrorCode {
        code: "E0210",
        title: "no command",
        explanation: "There is nothing to run: the command is empty, or neither the object nor the image has one.",
        example: "command: []",
        remedy: "Leave `command` out to run the image's own, or name a program.",
    },
    ErrorCode {
        code: "E0211",
        title: "invalid port",
        explanation: "A port is 1 to 65535; a place to publish at is a port, or `IP:PORT`.",
        example: "publish: \"8080:80\"",
        remedy: "Write `port: 80` and `publish: \"127.0.0.1:8080\"`.",
    },
    ErrorCode {
        code: "E0212",
        title: "host port conflict",
        explanation: "Two objects publish the same port of the host, or one of them publishes it on every address. The second would never start.",
        example: "two Deployments that publish 8080",
        remedy: "Publish one at another port or address.",
    },
    ErrorCode {
        code: "E0213",
        title: "not a literal IP address",
        explanation: "The Engine publishes a port on every interface when it does not understand the address, so only literal addresses are accepted.",
        example: "publish: \"localhost:80\"",
        remedy: "Write `127.0.0.1:80`; write `0.0.0.0:80` if every interface is meant.",
    },
    ErrorCode {
        code: "E0214",
        title: "ports or networks without a network of their own",
        explanation: "With the host's network there is nothing to publish or join; without any network there is nothing to publish from.",
        example: "hostNetwork: true with publish",
        remedy: "Remove `publish` or `networks`.",
    },
    ErrorCode {
        code: "E0215",
        title: "host path not allowed",
        explanation: "Whoever can mount it owns the host. `/etc`, `/usr`, the Engine's socket and their like need the profile `privileged`, however they are spelled, and a volume cannot bind a path.",
        example: "host: /var/run/docker.sock",
        remedy: "Mount a directory of your own.",
    },
    ErrorCode {
        code: "E0216",
        title: "invalid path or mount",
        explanation: "A mount has exactly one of `volume`, `host` and `tmpfs`, and an absolute path that no other mount has.",
        example: "{ volume: a, path: data }",
        remedy: "Write an absolute path such as `/data`.",
    },
    ErrorCode {
        code: "E0217",
        title: "unknown reference",
        explanation: "The object refers to another one that no manifest defines. `validate` refuses it; a running controller waits for it.",
        example: "networks: [back]",
        remedy: "Define it, or use one of the names that are listed.",
    },
    ErrorCode {
        code: "E0218",
        title: "dependency cycle",
        explanation: "Each waits for the next, so none would ever start.",
        example: "a depends on b, b depends on a",
        remedy: "Remove one of the dependencies.",
    },
    ErrorCode {
        code: "E0219",
        title: "health is asked for, but there is no health check",
        explanation: "A dependency's health is waited for, and it has no health check.",
        example: "",
        remedy: "Give it one, or ask for less.",
    },
    ErrorCode {
        code: "E0220",
        title: "invalid or overlapping subnet",
        explanation: "A subnet is in CIDR form without host bits, has room for containers, holds its gateway, and overlaps no other.",
        example: "subnet: 10.77.0.9/24",
        remedy: "Write for example `10.77.0.0/24`.",
    },
    ErrorCode {
        code: "E0221",
        title: "fixed address cannot be used",
        explanation: "It lies outside the subnets of its network, or another object has it.",
        example: "ipv4: 10.78.0.5 in 10.77.0.0/24",
        remedy: "Choose a free address of the subnet.",
    },
    ErrorCode {
        code: "E0222",
        title: "invalid size",
        explanation: "A size has a unit; memory is at least 6MiB, and `memorySwap` is memory and swap together.",
        example: "memory: 1000",
        remedy: "Write for example `512MiB`.",
    },
    ErrorCode {
        code: "E0223",
        title: "invalid CPU share",
        explanation: "A CPU share is at least `10m`, a hundredth of a core.",
        example: "cpu: 0",
        remedy: "Write for example `500m` or `0.5`.",
    },
    ErrorCode {
        code: "E0224",
        title: "invalid limit of processes",
        explanation: "At least 1.",
        example: "pids: 0",
        remedy: "Write for example `100`.",
    },
    ErrorCode {
        code: "E0225",
        title: "invalid limit",
        explanation: "The limit is unknown, its soft value is above the hard one, or no container could start with it.",
        example: "ulimits: { nofile: { soft: 20 } }",
        remedy: "Correct the limit.",
    },
    ErrorCode {
        code: "E0226",
        title: "capability not allowed",
        explanation: "The capability is unknown, or the security profile does not allow it.",
        example: "capAdd: [SYS_ADMIN]",
        remedy: "Remove it, or choose the profile that allows it.",
    },
    ErrorCode {
        code: "E0227",
        title: "not allowed by the security profile",
        explanation: "The field asks for more than the profile of the object allows.",
        example: "privileged: true",
        remedy: "Remove the field, or set `security.profile: privileged` if that is what you want.",
    },
    ErrorCode {
        code: "E0228",
        title: "invalid user",
        explanation: "Not `USER[:GROUP]`, or not a number other than 0 with the profile `restricted`.",
        example: "user: root",
        remedy: "Write for example `\"1001:1001\"`.",
    },
    ErrorCode {
        code: "E0229",
        title: "invalid host name",
        explanation: "Host names are letters, digits and hyphens; the kernel takes at most 63 characters.",
        example: "hostname: my_host",
        remedy: "Use letters, digits and `-`.",
    },
    ErrorCode {
        code: "E0230",
        title: "invalid duration",
        explanation: "A duration has a unit; the time to stop is 0s to 1h.",
        example: "grace: 10",
        remedy: "Write for example `10s`.",
    },
    ErrorCode {
        code: "E0231",
        title: "invalid stop signal",
        explanation: "The signal is unknown, or no program can react to it.",
        example: "signal: SIGNOPE",
        remedy: "Write for example `SIGTERM`.",
    },
    ErrorCode {
        code: "E0232",
        title: "invalid health check",
        explanation: "An interval, a timeout or a number of retries is out of range.",
        example: "retries: 0",
        remedy: "Correct the value.",
    },
    ErrorCode {
        code: "E0233",
        title: "rollout cannot progress",
        explanation: "Nothing may be added and nothing taken away, so nothing can change.",
        example: "maxSurge: 0 and maxUnavailable: 0",
        remedy: "Raise one of the two.",
    },
    ErrorCode {
        code: "E0234",
        title: "only one replica can hold it",
        explanation: "A port of the host, a fixed address or an exact name can be held by one container only.",
        example: "replicas: 2 with publish",
        remedy: "Set `replicas: 1`, or remove it.",
    },
    ErrorCode {
        code: "E0235",
        title: "cannot be changed",
        explanation: "A volume with data is never recreated.",
        example: "driver of an existing volume",
        remedy: "Create a new volume, and copy the data.",
    },
    ErrorCode {
        code: "E0236",
        title: "would orphan a volume",
        explanation: "Under a new name the object would begin with an empty volume.",
        example: "a renamed Volume",
        remedy: "Keep the name, or set `engineName` to the old one.",
    },
    ErrorCode {
        code: "E0237",
        title: "too much would be removed",
        explanation: "The change removes a larger share of the objects than the limit allows.",
        example: "an emptied directory",
        remedy: "Confirm it, if it is meant.",
    },
    ErrorCode {
        code: "E0238",
        title: "secret file cannot be used",
        explanation: "It is missing, empty, or readable by others.",
        example: "a key with mode 0644",
        remedy: "Correct the file.",
    },
    ErrorCode {
        code: "E0239",
        title: "MCP server not acceptable",
        explanation: "Its address or its tools break a rule.",
        example: "url: http://169.254.169.254/",
        remedy: "Correct the server's spec.",
    },
    ErrorCode {
        code: "E0240",
        title: "MCP tool quarantined",
        explanation: "The definition of a tool has changed, or breaks a limit.",
        example: "",
        remedy: "Review and approve it.",
    },
    ErrorCode {
        code: "E0241",
        title: "git address not acceptable",
        explanation: "Only https, ssh and file addresses without credentials are used.",
        example: "ext::sh -c id",
        remedy: "Correct the address.",
    },
    ErrorCode {
        code: "E0242",
        title: "git reference or path not acceptable",
        explanation: "The reference is no valid name, or the path is not in the commit.",
        example: "ref: -x",
        remedy: "Correct the reference.",
    },
    ErrorCode {
        code: "E0243",
        title: "configuration contradicts itself",
        explanation: "Two settings cannot both hold, such as a data directory inside the manifest directory.",
        example: "",
        remedy: "Correct the setting that is named.",
    },
];

/// What a code means; `None` for one that there is not.
pub fn error_code(code: &str) -> Option<&'static ErrorCode> {
    ERROR_CODES.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

/// The code that was perhaps meant.
pub fn nearest_code(code: &str) -> Option<&'static str> {
    nearest(code, ERROR_CODES.iter().map(|entry| entry.code))
}

impl ErrorCode {
    /// The code's page in `docs/errors/`, as Markdown.
    pub fn page(&self) -> String {
        let mut page = format!("# {}: {}\n\n{}\n", self.code, self.title, self.explanation);
        if !self.example.is_empty() {
            page.push_str("\n## Example\n\n```text\n");
            page.push_str(self.example);
            page.push_str("\n```\n");
        }
        page.push_str("\n## What to do\n\n");
        page.push_str(self.remedy);
        page.push('\n');
        page
    }
}

/// The list of all pages, as Markdown.
pub fn index_page() -> String {
    let mut page = String::from(
        "# Errors\n\nEvery fault has a code that never changes its meaning. Codes from E0100 are about files and YAML, from\n\
         E0200 about what a manifest means.\n\n| Code | Meaning |\n|---|---|\n",
    );
    for entry in ERROR_CODES {
        // Writing to a string cannot fail.
        writeln!(page, "| [{0}]({0}.md) | {1} |", entry.code, entry.title).unwrap_or_default();
    }
    page
}
