//! What all servers list together: sorted, named, and written once for each who may see it.

mod repeated;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use crate::config::{Rule, ServerConfig};
use crate::connection::Listing;
use crate::name::{Naming, exposed_name};
use crate::pin::{INSTRUCTIONS, prompt_key};
use crate::policy::{Principal, is_listed, may_use};
use crate::wire::object::{RawObject, quote};

/// How many items a page has.
const PAGE_ITEMS: usize = 1_000;
/// What follows the fields of a page: the end of the result, and that of the message.
const PAGE_END: &str = "}}";
/// How long the joined instructions may be; clients read the first few hundred characters.
const INSTRUCTIONS_LIMIT: usize = 8_000;
/// How many views are kept; one for each principal and scope that asked since the last change.
const VIEWS_LIMIT: usize = 256;

/// The lists, in the order of MCP's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListKind {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    Templates,
}

impl ListKind {
    /// The list that a method asks for.
    pub fn of_method(method: &str) -> Option<Self> {
        match method {
            "tools/list" => Some(Self::Tools),
            "prompts/list" => Some(Self::Prompts),
            "resources/list" => Some(Self::Resources),
            "resources/templates/list" => Some(Self::Templates),
            _ => None,
        }
    }

    /// The field of the result that holds the items.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    fn items(self, listing: &Listing) -> &[String] {
        match self {
            Self::Tools => &listing.tools,
            Self::Prompts => &listing.prompts,
            Self::Resources => &listing.resources,
            Self::Templates => &listing.templates,
        }
    }
}

/// What one server brings to the catalogue.
#[derive(Debug, Clone)]
pub struct Contribution {
    /// How it is set.
    pub config: Arc<ServerConfig>,
    /// What it lists, or did when it last ran.
    pub listing: Arc<Listing>,
    /// What is hidden since its definition is not approved, by the names that definitions are pinned by.
    pub hidden: Arc<BTreeSet<String>>,
}

/// Headers that a tool's arguments ask for: the path of the argument, and the word after `Mcp-Param-`.
pub type HeaderParams = Arc<[(Vec<String>, String)]>;

/// Where a call goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server's name.
    pub server: Arc<str>,
    /// The server's own name of it; for resources the URI.
    pub original: Arc<str>,
    /// Headers that its arguments ask for.
    pub headers: HeaderParams,
}

impl Target {
    /// What asks for no headers.
    fn plain(server: &Arc<str>, original: &str) -> Self {
        Self { server: Arc::clone(server), original: original.into(), headers: Arc::default() }
    }
}

/// What has been looked at: by the one server, or by no name for all of them, and by who looks.
type Views = BTreeMap<String, BTreeMap<Principal, Arc<View>>>;

/// What all servers list together.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// By server name.
    pub servers: BTreeMap<Arc<str>, Contribution>,
    naming: Naming,
    rules: Arc<[Rule]>,
    views: Mutex<Views>,
}

/// What one principal sees, of all servers or of one.
#[derive(Debug, Default)]
pub struct View {
    lists: [Vec<Page>; 4],
    tools: HashMap<String, Target>,
    prompts: HashMap<String, Target>,
    resources: HashMap<String, Target>,
    templates: Vec<(String, Target)>,
    /// What is there, and not for whoever looks, by the names that it would have.
    withheld: BTreeMap<(ListKind, String), Target>,
    /// The joined instructions.
    pub instructions: String,
    /// The servers that are seen, by name.
    pub servers: Vec<Arc<str>>,
    /// Who sees it, and by which rules: a resource need not be listed to be read.
    rules: Arc<[Rule]>,
    viewer: Option<Principal>,
}

#[derive(Debug)]
struct Page {
    /// `"tools":[…]`, the cursor where there is more, and the ends of the result and of the message that they are the last fields of.
    json: Bytes,
    /// The key of the last item.
    last: String,
}

impl Catalogue {
    /// A catalogue of these servers.
    pub fn new(naming: Naming, rules: Vec<Rule>, servers: BTreeMap<Arc<str>, Contribution>) -> Self {
        Self { servers, naming, rules: rules.into(), views: Mutex::default() }
    }

    /// What a principal sees: of all servers, or of one under its own names. `None`: there is no such server, or not for him.
    pub fn view(&self, principal: &Principal, scope: Option<&str>) -> Option<Arc<View>> {
        let key = scope.unwrap_or_default();
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(key).and_then(|views| views.get(principal)) {
            return Some(Arc::clone(view));
        }
        if scope.is_some_and(|scope| !self.servers.contains_key(scope)) {
            return None;
        }
        let view = Arc::new(self.make_view(principal, scope));
        if scope.is_some() && view.servers.is_empty() {
            return None;
        }
        if views.values().map(BTreeMap::len).sum::<usize>() >= VIEWS_LIMIT {
            views.clear();
        }
        views.entry(key.to_owned()).or_default().insert(principal.clone(), Arc::clone(&view));
        Some(view)
    }

    fn make_view(&self, principal: &Principal, scope: Option<&str>) -> View {
        let mut view = View { rules: Arc::clone(&self.rules), viewer: Some(principal.clone()), ..View::default() };
        let mut lists: [BTreeMap<String, String>; 4] = Default::default();
        let naming = if scope.is_some() { Naming::Plain } else { self.naming };
        let in_scope = |name: &str| scope.is_none_or(|scope| scope == name);
        for (server, contribution) in self.servers.iter().filter(|(server, _)| in_scope(server)) {
            let mut is_seen = self.rules.is_empty();
            for (kind, list) in KINDS.into_iter().zip(&mut lists) {
                for item in kind.items(&contribution.listing) {
                    let Some(fields) = RawObject::parse(item) else { continue };
                    let Some(original) = fields.get_str(kind.key()).map(std::borrow::Cow::into_owned) else { continue };
                    let is_shown = contribution.shows(kind, &original);
                    if !is_shown || !may_use(&self.rules, principal, server, &original) {
                        let target = Target::plain(server, &original);
                        let key = contribution.key(kind, naming, &target);
                        view.withheld.entry((kind, key)).or_insert(target);
                        continue;
                    }
                    let Some(headers) = header_params(kind, &fields) else { continue };
                    is_seen = true;
                    let target = Target { server: Arc::clone(server), original: original.as_str().into(), headers };
                    view.add(kind, naming, contribution, fields, target, list);
                }
            }
            if is_seen {
                view.servers.push(Arc::clone(server));
                view.add_instructions(server, contribution.instructions(), scope.is_some());
            }
        }
        for ((kind, pages), list) in KINDS.into_iter().zip(&mut view.lists).zip(lists) {
            *pages = paginate(kind, list);
        }
        view
    }
}

const KINDS: [ListKind; 4] = [ListKind::Tools, ListKind::Prompts, ListKind::Resources, ListKind::Templates];

impl Contribution {
    /// How many tools are hidden since they are not approved.
    pub fn hidden_tools(&self) -> usize {
        let is_tool = |name: &&String| *name != INSTRUCTIONS && !name.starts_with(&prompt_key(""));
        self.hidden.iter().filter(is_tool).count()
    }

    fn shows(&self, kind: ListKind, original: &str) -> bool {
        match kind {
            ListKind::Tools => {
                is_listed(&self.config.allow, &self.config.deny, original) && !self.hidden.contains(original)
            }
            ListKind::Prompts => !self.hidden.contains(&prompt_key(original)),
            ListKind::Resources | ListKind::Templates => true,
        }
    }

    /// What clients know something by.
    fn key(&self, kind: ListKind, naming: Naming, target: &Target) -> String {
        match kind {
            ListKind::Tools | ListKind::Prompts => {
                let renamed = self.config.rename.get(&*target.original).filter(|_| kind == ListKind::Tools);
                let name = renamed.map_or(&*target.original, |name| name.as_str());
                exposed_name(naming, &target.server, name)
            }
            // URIs are locators and stay as they are.
            ListKind::Resources | ListKind::Templates => target.original.to_string(),
        }
    }

    fn instructions(&self) -> Option<&str> {
        self.listing.instructions.as_deref().filter(|_| !self.hidden.contains(INSTRUCTIONS))
    }
}

impl View {
    fn add(
        &mut self,
        kind: ListKind,
        naming: Naming,
        contribution: &Contribution,
        mut fields: RawObject<'_>,
        target: Target,
        list: &mut BTreeMap<String, String>,
    ) {
        let exposed = contribution.key(kind, naming, &target);
        match kind {
            ListKind::Tools | ListKind::Prompts => {
                fields.set("name", quote(&exposed));
                let table = if kind == ListKind::Tools { &mut self.tools } else { &mut self.prompts };
                // Of two of one name the first counts: a server must not list a name twice.
                if table.contains_key(&exposed) {
                    return;
                }
                list.insert(exposed.clone(), fields.to_json());
                table.insert(exposed, target);
            }
            ListKind::Resources => {
                // The first server by name that has one serves it.
                if !list.contains_key(&exposed) {
                    list.insert(exposed.clone(), fields.to_json());
                    self.resources.insert(exposed, target);
                }
            }
            ListKind::Templates => {
                if !list.contains_key(&exposed) {
                    list.insert(exposed.clone(), fields.to_json());
                    self.templates.push((exposed, target));
                }
            }
        }
    }

    fn add_instructions(&mut self, server: &str, instructions: Option<&str>, is_alone: bool) {
        let Some(instructions) = instructions.map(str::trim).filter(|text| !text.is_empty()) else { return };
        let room = INSTRUCTIONS_LIMIT.saturating_sub(self.instructions.len());
        let text = if is_alone { instructions.to_owned() } else { format!("\n## {server}\n{instructions}\n") };
        self.instructions.extend(text.chars().take(room));
    }

    /// The page that a request for a list asks for, as [`Self::page`]. `None`: its cursor is none of ours.
    pub fn asked_page(&self, kind: ListKind, fields: &RawObject<'_>) -> Option<Bytes> {
        let cursor = fields.get_str("cursor");
        if fields.has("cursor") && cursor.is_none() { None } else { self.page(kind, cursor.as_deref()) }
    }

    /// A page of a list as the end of an answer: `"tools":[…]`, with `nextCursor` where there is more, and what closes result and message. It
    /// is sent as it is, and not copied. `None`: the cursor is none of ours.
    fn page(&self, kind: ListKind, cursor: Option<&str>) -> Option<Bytes> {
        let pages = match kind {
            ListKind::Tools => &self.lists[0],
            ListKind::Prompts => &self.lists[1],
            ListKind::Resources => &self.lists[2],
            ListKind::Templates => &self.lists[3],
        };
        let Some(cursor) = cursor else { return pages.first().map(|page| page.json.clone()) };
        let after = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor.strip_prefix("k.")?).ok()?).ok()?;
        // The list may have changed since: what comes after the item is given, wherever pages begin now.
        let page = pages.iter().position(|page| page.last > after).or_else(|| pages.len().checked_sub(1))?;
        pages.get(page).map(|page| page.json.clone())
    }

    /// Where a tool's call goes.
    pub fn tool(&self, name: &str) -> Option<&Target> {
        self.tools.get(name)
    }

    /// Where a prompt is had from.
    pub fn prompt(&self, name: &str) -> Option<&Target> {
        self.prompts.get(name)
    }

    /// Where a resource is read: who lists it, or whose template fits, or who alone is there.
    pub fn resource(&self, uri: &str) -> Option<Target> {
        let server = self.server_of(uri)?;
        self.may_read(server, uri).then(|| Target::plain(server, uri))
    }

    fn may_read(&self, server: &str, uri: &str) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| may_use(&self.rules, viewer, server, uri))
    }

    fn server_of(&self, uri: &str) -> Option<&Arc<str>> {
        let listed = self.resources.get(uri);
        let by_template = || self.templates.iter().find(|(template, _)| template_fits(template, uri)).map(|(_, t)| t);
        match (listed.or_else(by_template), self.servers.as_slice()) {
            (Some(target), _) => Some(&target.server),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// What has this name, and is not for whoever looks. For the audit: he is told nothing of it.
    pub fn withheld(&self, kind: ListKind, name: &str) -> Option<Target> {
        let known = self.withheld.get(&(kind, name.to_owned()));
        if known.is_some() || kind != ListKind::Resources {
            return known.cloned();
        }
        let fits = |((kind, key), _): &(&(ListKind, String), &Target)| {
            *kind == ListKind::Templates && template_fits(key, name)
        };
        let by_template = || self.withheld.iter().find(fits).map(|(_, target)| &target.server);
        let server = self.server_of(name).filter(|server| !self.may_read(server, name)).or_else(by_template)?;
        Some(Target::plain(server, name))
    }

    /// Whose template this is.
    pub fn template(&self, template: &str) -> Option<&Target> {
        self.templates.iter().find(|(known, _)| known == template).map(|(_, target)| target)
    }
}

fn paginate(kind: ListKind, list: BTreeMap<String, String>) -> Vec<Page> {
    let items: Vec<(String, String)> = list.into_iter().collect();
    if items.is_empty() {
        return vec![Page { json: format!("\"{}\":[]{PAGE_END}", kind.field()).into(), last: String::new() }];
    }
    let count = items.chunks(PAGE_ITEMS).count();
    let to_page = |(number, chunk): (usize, &[(String, String)])| {
        let texts: Vec<&str> = chunk.iter().map(|(_, json)| json.as_str()).collect();
        let end = chunk.last().map(|(key, _)| key.clone()).unwrap_or_default();
        let mut json = format!("\"{}\":[{}]", kind.field(), texts.join(","));
        if number + 1 < count {
            json.push_str(",\"nextCursor\":\"k.");
            URL_SAFE_NO_PAD.encode_string(&end, &mut json);
            json.push('"');
        }
        json.push_str(PAGE_END);
        Page { json: json.into(), last: end }
    };
    items.chunks(PAGE_ITEMS).enumerate().map(to_page).collect()
}

/// Whether a URI may have come of a template (RFC 6570): its fixed parts are there, in their order.
fn template_fits(template: &str, uri: &str) -> bool {
    let mut glob = String::new();
    let mut rest = template;
    while let Some((fixed, tail)) = rest.split_once('{') {
        glob.push_str(fixed);
        glob.push('*');
        rest = tail.split_once('}').map_or("", |(_, tail)| tail);
    }
    glob.push_str(rest);
    crate::name::glob_fits(&glob, uri)
}

/// The headers that a tool's arguments ask for by `x-mcp-header`. `None`: one is not allowed, and the tool is left out, as
/// 2026-07-28 wants it.
fn header_params(kind: ListKind, fields: &RawObject<'_>) -> Option<HeaderParams> {
    let schema = fields.get("inputSchema").filter(|_| kind == ListKind::Tools);
    let Some(schema) = schema.filter(|schema| schema.contains("x-mcp-header")) else { return Some(Arc::default()) };
    let schema: serde_json::Value = serde_json::from_str(schema).ok()?;
    crate::header_param::find(&schema).map(Into::into)
}

#[cfg(test)]
mod tests;
