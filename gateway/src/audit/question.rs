//! What servers ask of clients, in the audit: a line for each question.

use super::draft::Draft;
use super::record::{AuditRecord, beginning_of};
use super::shape::shape_of;
use super::writer::AuditLog;
use crate::era::Era;
use crate::policy::Principal;
use crate::secrets::KnownSecrets;
use crate::session::ClientSession;

/// Begins the lines of questions.
#[derive(Debug)]
pub struct Questions {
    /// Where they are written.
    pub audit: AuditLog,
    /// What is in none of them.
    pub secrets: KnownSecrets,
    /// The questions and answers too, not only their shape.
    pub has_values: bool,
}

/// Who asks, and whom.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'asker> {
    /// The server.
    pub server: &'asker str,
    /// Its instance's id.
    pub instance: Option<&'asker str>,
    /// The server's own name of what it asks in the course of; none where it belongs to no request.
    pub name: Option<&'asker str>,
    /// Whose client is asked.
    pub principal: &'asker Principal,
    /// The era of the client.
    pub era: Era,
    /// The client's session.
    pub session: Option<&'asker ClientSession>,
}

impl Questions {
    /// A question is put to a client.
    pub fn begin(&self, asker: Asker<'_>, method: &str, params: Option<&str>) -> Draft {
        let secrets = self.secrets.now();
        let params = secrets.hide(params.unwrap_or("null").to_owned());
        let arguments =
            if self.has_values { serde_json::from_str(&params).unwrap_or_default() } else { shape_of(&params) };
        let record = AuditRecord {
            principal: asker.principal.name.clone(),
            session: asker.session.map(|session| session.digest().to_owned()),
            era: Some(asker.era.as_str().to_owned()),
            asked_by: Some("server".to_owned()),
            method: beginning_of(&secrets.hide(method.to_owned()), 100),
            server: Some(asker.server.to_owned()),
            instance: asker.instance.map(|id| beginning_of(id, 12)),
            name: asker.name.map(|name| beginning_of(&secrets.hide(name.to_owned()), 200)),
            arguments,
            ..AuditRecord::default()
        };
        Draft::begin(&self.audit, self.has_values, record)
    }
}
