//! Where a request goes.

use crate::catalogue::{ListKind, Target, View};
use crate::era::Era;
use crate::wire::object::{RawObject, quote};
use crate::wire::reply::RpcError;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aim {
    /// It names nothing.
    Nothing,
    /// What nobody has, as the client named it.
    Unknown(String),
    /// What is there, and not for this client: it is told nothing else than that nobody has it.
    Withheld(Target),
    /// What the client may see.
    At(Target),
}

/// A request that does not go to a server.
#[derive(Debug)]
pub struct NotSent {
    /// What the client is told.
    pub error: RpcError,
    /// What it is for.
    pub aim: Aim,
}

impl NotSent {
    /// What the audit says of it.
    pub const fn outcome(&self) -> &'static str {
        match self.aim {
            Aim::Withheld(_) => "denied",
            Aim::Nothing | Aim::Unknown(_) | Aim::At(_) => "refused",
        }
    }
}

/// What a request is for, for the audit.
pub fn find_aim(view: &View, method: &str, fields: &RawObject<'_>, era: Era) -> Aim {
    find_target(view, method, fields, era).map_or_else(|not_sent| not_sent.aim, Aim::At)
}

/// What a request is for, as the client names it.
///
/// # Errors
/// When it names nothing, or nothing that it may see.
pub(super) fn find_target(view: &View, method: &str, fields: &RawObject<'_>, era: Era) -> Result<Target, NotSent> {
    let text = |field: &str| {
        let message = format!("`{field}` is missing, or no string");
        let missing = || NotSent { error: RpcError::new(RpcError::INVALID_PARAMS, message), aim: Aim::Nothing };
        fields.get_str(field).map(std::borrow::Cow::into_owned).ok_or_else(missing)
    };
    let unknown = |what: &str, name: &str, withheld: Option<Target>| {
        let short: String = name.chars().take(200).collect();
        let error = RpcError::new(RpcError::INVALID_PARAMS, format!("there is no {what} `{short}`"));
        NotSent { error, aim: withheld.map_or_else(|| Aim::Unknown(name.to_owned()), Aim::Withheld) }
    };
    match method {
        "tools/call" => {
            let name = text("name")?;
            let found = view.tool(&name).cloned();
            found.ok_or_else(|| unknown("tool", &name, view.withheld(ListKind::Tools, &name)))
        }
        "prompts/get" => {
            let name = text("name")?;
            let found = view.prompt(&name).cloned();
            found.ok_or_else(|| unknown("prompt", &name, view.withheld(ListKind::Prompts, &name)))
        }
        "completion/complete" => {
            let reference = fields.get("ref").and_then(RawObject::parse).unwrap_or_default();
            let name = reference.get_str("name").or_else(|| reference.get_str("uri")).unwrap_or_default();
            let unknown = |withheld: Option<Target>| unknown("prompt or resource", &name, withheld);
            match reference.get_str("type").as_deref() {
                Some("ref/prompt") => {
                    let found = view.prompt(&name).cloned();
                    found.ok_or_else(|| unknown(view.withheld(ListKind::Prompts, &name)))
                }
                Some("ref/resource") => {
                    let found = view.template(&name).cloned().or_else(|| view.resource(&name));
                    let withheld = |kind| view.withheld(kind, &name);
                    found
                        .ok_or_else(|| unknown(withheld(ListKind::Templates).or_else(|| withheld(ListKind::Resources))))
                }
                _ => Err(unknown(None)),
            }
        }
        _ => {
            let uri = text("uri")?;
            view.resource(&uri).ok_or_else(|| {
                let NotSent { error, aim } = unknown("resource", &uri, view.withheld(ListKind::Resources, &uri));
                let code = if era == Era::Modern { RpcError::INVALID_PARAMS } else { RpcError::RESOURCE_NOT_FOUND };
                let data = format!("{{\"uri\":{}}}", quote(&uri));
                NotSent { error: RpcError::new(code, error.message).with_data(data), aim }
            })
        }
    }
}
