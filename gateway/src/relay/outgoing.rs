//! What a server is sent of a request.

use super::Caller;
use super::edit::{self, MetaOf};
use crate::era::Era;
use crate::wire::params::Params;

/// The params of a request as a server of one era has them, and what goes beside them.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The server's era.
    pub(super) era: Era,
    /// The JSON text.
    pub(super) params: String,
    /// The headers that a tool's arguments ask for.
    pub(super) headers: Vec<(String, String)>,
}

/// What is put into the client's params.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edits<'edit> {
    /// What is asked.
    pub(super) method: &'edit str,
    /// The server's own name of what is asked for.
    pub(super) original: &'edit str,
    /// The headers that its arguments ask for.
    pub(super) headers: &'edit [(Vec<String>, String)],
    /// What the client answered to what the server asked for, and the state that goes with it.
    pub(super) answers: Option<(&'edit str, Option<&'edit str>)>,
}

impl Outgoing {
    /// Writes what a server of an era is sent.
    pub(super) fn write(params: &Params<'_>, era: Era, caller: &Caller, edits: Edits<'_>) -> Self {
        let mut fields = params.fields.clone();
        edit::set_name(edits.method, &mut fields, edits.original);
        edit::set_meta(&mut fields, &params.meta, &MetaOf { era, caller });
        if let Some((responses, state)) = edits.answers {
            fields.set("inputResponses", responses.to_owned());
            match state {
                Some(state) => fields.set("requestState", state.to_owned()),
                None => fields.remove("requestState"),
            }
        }
        let headers = match era {
            Era::Modern => edit::header_params(edits.headers, fields.get("arguments")),
            Era::Legacy => Vec::new(),
        };
        Self { era, params: fields.to_json(), headers }
    }
}
