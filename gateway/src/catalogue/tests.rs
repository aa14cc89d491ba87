//! Lists of several servers, as each principal sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Catalogue, Contribution, ListKind, View, template_fits};
use crate::config::{Action, Rule, ServerConfig};
use crate::connection::Listing;
use crate::name::Naming;
use crate::policy::Principal;

fn contribution(name: &str, tools: &[&str]) -> (Arc<str>, Contribution) {
    let config = ServerConfig {
        deny: vec!["hidden*".to_owned()],
        rename: BTreeMap::from([("old".to_owned(), "new".to_owned())]),
        ..ServerConfig::of(name, vec![])
    };
    let tool = |name: &&str| format!(r#"{{"name":"{name}","x-vendor":{{"a":1}},"inputSchema":{{"type":"object"}}}}"#);
    let listing = Listing {
        tools: tools.iter().map(tool).collect(),
        resources: vec![
            format!(r#"{{"uri":"mem://{name}","name":"r"}}"#),
            r#"{"uri":"mem://all","name":"r"}"#.to_owned(),
        ],
        templates: vec![format!(r#"{{"uriTemplate":"{name}://{{id}}/data","name":"t"}}"#)],
        instructions: Some(format!("use {name}")),
        ..Listing::default()
    };
    (
        name.into(),
        Contribution { config: Arc::new(config), listing: Arc::new(listing), hidden: Arc::new(BTreeSet::new()) },
    )
}

fn catalogue(rules: Vec<Rule>) -> Catalogue {
    let servers = BTreeMap::from([
        contribution("time", &["now", "old"]),
        contribution("git", &["status", "hidden_one"]),
        contribution("big", &[]),
    ]);
    Catalogue::new(Naming::Prefixed, rules, servers)
}

/// The fields of a page's result.
fn page(view: &View, cursor: Option<&str>) -> Option<String> {
    let text = String::from_utf8(view.page(ListKind::Tools, cursor)?.to_vec()).unwrap();
    Some(text.strip_suffix("}}").unwrap().to_owned())
}

#[test]
fn tools_are_sorted_named_and_otherwise_as_they_were() {
    let view = catalogue(vec![]).view(&Principal::anonymous(), None).unwrap();
    assert_eq!(
        page(&view, None).unwrap(),
        r#""tools":[{"name":"git__status","x-vendor":{"a":1},"inputSchema":{"type":"object"}},{"name":"time__new","x-vendor":{"a":1},"inputSchema":{"type":"object"}},{"name":"time__now","x-vendor":{"a":1},"inputSchema":{"type":"object"}}]"#
    );
    let target = view.tool("time__new").unwrap();
    assert_eq!((&*target.server, &*target.original), ("time", "old"));
    assert!(view.tool("git__hidden_one").is_none() && view.tool("now").is_none());
    assert!(view.instructions.contains("## git\nuse git"));
}

#[test]
fn one_server_alone_keeps_its_names() {
    let catalogue = catalogue(vec![]);
    let view = catalogue.view(&Principal::anonymous(), Some("time")).unwrap();
    assert!(view.tool("now").is_some() && view.tool("time__now").is_none() && view.tool("status").is_none());
    assert!(catalogue.view(&Principal::anonymous(), Some("nobody")).is_none());
}

#[test]
fn what_a_principal_may_not_use_he_does_not_see() {
    let only = |servers: &str| Rule {
        principals: vec!["ann".into()],
        servers: vec![servers.into()],
        tools: vec!["*".into()],
        action: Action::Allow,
    };
    let catalogue = catalogue(vec![only("git")]);
    let ann = Principal { name: "ann".into(), roles: vec![] };
    let view = catalogue.view(&ann, None).unwrap();
    assert!(view.tool("git__status").is_some() && view.tool("time__now").is_none());
    assert_eq!(view.servers, ["git".into()]);
    assert!(catalogue.view(&ann, Some("time")).is_none());
    assert!(view.resource("mem://time").is_some_and(|target| &*target.server == "git"));
    assert!(!view.instructions.contains("use time"));
}

#[test]
fn a_resource_goes_to_the_first_who_lists_it_or_whose_template_fits() {
    let view = catalogue(vec![]).view(&Principal::anonymous(), None).unwrap();
    assert_eq!(&*view.resource("mem://all").unwrap().server, "big");
    assert_eq!(&*view.resource("mem://time").unwrap().server, "time");
    assert_eq!(&*view.resource("git://7/data").unwrap().server, "git");
    assert!(view.resource("other://7").is_none());
    assert!(template_fits("a://{x}/b/{y}", "a://1/b/2") && !template_fits("a://{x}/b", "a://1/c"));
}

#[test]
fn pages_follow_each_other_and_a_foreign_cursor_is_refused() {
    let names: Vec<String> = (0..2_500).map(|number| format!("tool_{number:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let servers = BTreeMap::from([contribution("many", &names)]);
    let view = Catalogue::new(Naming::Prefixed, vec![], servers).view(&Principal::anonymous(), None).unwrap();
    let (mut cursor, mut seen) = (None::<String>, 0);
    loop {
        let text = format!("{{{}}}", page(&view, cursor.as_deref()).unwrap());
        let page: serde_json::Value = serde_json::from_str(&text).unwrap();
        seen += page["tools"].as_array().unwrap().len();
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = Some(next.to_owned());
    }
    assert_eq!(seen, 2_500);
    assert!(page(&view, Some("nonsense")).is_none());
    assert!(page(&view, Some("")).is_none());
}

#[test]
fn a_resource_that_a_rule_denies_is_not_read_by_a_template_or_as_the_only_servers() {
    let rule = |uri: &str, action| Rule {
        principals: vec!["*".into()],
        servers: vec!["git".into()],
        tools: vec![uri.into()],
        action,
    };
    let rules = vec![rule("git://secret/*", Action::Deny), rule("*", Action::Allow)];
    let catalogue = catalogue(rules);
    for scope in [None, Some("git")] {
        let view = catalogue.view(&Principal::anonymous(), scope).unwrap();
        assert!(view.resource("git://7/data").is_some(), "{scope:?}");
        assert!(view.resource("git://secret/data").is_none(), "{scope:?}: its template fits");
        assert!(view.resource("git://secret/other").is_none(), "{scope:?}: there is no other server");
    }
}

#[test]
fn what_several_servers_list_is_told_once_for_each_pair_with_how_much_there_is() {
    let repeated = catalogue(vec![]).repeated();
    let told: Vec<String> = repeated
        .iter()
        .map(|((serves, other), repeated)| format!("{serves} {other} {} {}", repeated.example, repeated.count))
        .collect();
    assert_eq!(told, ["big git mem://all 1", "big time mem://all 1"]);
}
