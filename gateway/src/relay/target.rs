//! Where a request goes.

use crate::catalogue::{Target, View};
use crate::era::Era;
use crate::wire::object::{RawObject, quote};
use crate::wire::reply::RpcError;

/// What a request is for, as the client names it.
///
/// # Errors
/// What the client is told when it names nothing, or nothing that it may see.
pub(super) fn find_target(view: &View, method: &str, fields: &RawObject<'_>, era: Era) -> Result<Target, RpcError> {
    let text = |field: &str| {
        let missing = || RpcError::new(RpcError::INVALID_PARAMS, format!("`{field}` is missing, or no string"));
        fields.get_str(field).map(std::borrow::Cow::into_owned).ok_or_else(missing)
    };
    let unknown = |what: &str, name: &str| {
        let name: String = name.chars().take(200).collect();
        RpcError::new(RpcError::INVALID_PARAMS, format!("there is no {what} `{name}`"))
    };
    match method {
        "tools/call" => {
            let name = text("name")?;
            view.tool(&name).cloned().ok_or_else(|| unknown("tool", &name))
        }
        "prompts/get" => {
            let name = text("name")?;
            view.prompt(&name).cloned().ok_or_else(|| unknown("prompt", &name))
        }
        "completion/complete" => {
            let reference = fields.get("ref").and_then(RawObject::parse).unwrap_or_default();
            let name = reference.get_str("name").or_else(|| reference.get_str("uri")).unwrap_or_default();
            let found = match reference.get_str("type").as_deref() {
                Some("ref/prompt") => view.prompt(&name).cloned(),
                Some("ref/resource") => view.template(&name).cloned().or_else(|| view.resource(&name)),
                _ => None,
            };
            found.ok_or_else(|| unknown("prompt or resource", &name))
        }
        _ => {
            let uri = text("uri")?;
            view.resource(&uri).ok_or_else(|| {
                let code = if era == Era::Modern { RpcError::INVALID_PARAMS } else { RpcError::RESOURCE_NOT_FOUND };
                let message = unknown("resource", &uri).message;
                RpcError::new(code, message).with_data(format!("{{\"uri\":{}}}", quote(&uri)))
            })
        }
    }
}
