//! What servers ask of clients, in the audit: a line for each question.

use super::draft::Draft;
use super::log::AuditLog;
use super::record::{AuditRecord, beginning_of};
use super::shape::arguments_of;
use crate::era::Era;
use crate::policy::Principal;
use crate::secrets::SecretsSince;
use crate::session::ClientSession;

/// Begins the lines of questions.
#[derive(Debug)]
pub struct Questions {
    /// Where they are written.
    pub audit: AuditLog,
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
    /// A question is put to a client. `secrets`: what is in no line of it.
    pub fn begin(&self, asker: Asker<'_>, secrets: &SecretsSince, method: &str, params: Option<&str>) -> Draft {
        let arguments = if self.audit.is_enabled() {
            arguments_of(&secrets.hide(params.unwrap_or("null")), self.has_values)
        } else {
            None
        };
        let record = AuditRecord {
            principal: asker.principal.name.to_string(),
            session: asker.session.map(|session| session.digest().to_owned()),
            era: Some(asker.era.as_str().into()),
            asked_by: Some("server".into()),
            method: beginning_of(&secrets.hide(method), 100),
            server: Some(asker.server.to_owned()),
            instance: asker.instance.map(|id| beginning_of(id, 12)),
            name: asker.name.map(|name| beginning_of(&secrets.hide(name), 200)),
            arguments,
            ..AuditRecord::default()
        };
        Draft::begin(&self.audit, self.has_values, record)
    }
}

#[cfg(test)]
mod tests {
    use super::{Asker, Questions};
    use crate::audit::{AuditLog, AuditRecord};
    use crate::config::Rotation;
    use crate::era::Era;
    use crate::policy::Principal;
    use crate::secrets::{Evidence, KnownSecrets, Secrets};

    #[tokio::test]
    async fn no_field_of_a_question_holds_what_was_a_secret_when_the_call_began() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let audit = AuditLog::open(&path, Rotation::default()).unwrap();
        let known = KnownSecrets::default();
        known.set(Secrets::new([("the first", Evidence::Declared)]));
        let since = known.since(known.now());
        known.set(Secrets::new([("the second", Evidence::Declared)]));
        let questions = Questions { audit: audit.clone(), has_values: true };
        let (principal, said) = (Principal::anonymous(), "the first, the second");
        let asker = Asker {
            server: "s",
            instance: None,
            name: Some(said),
            principal: &principal,
            era: Era::Legacy,
            session: None,
        };
        questions.begin(asker, &since, said, Some(&format!("[\"{said}\"]"))).end("ok", None, 0).await;
        audit.settled().await;
        let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let AuditRecord { method, name, arguments, .. } = serde_json::from_value(line["record"].clone()).unwrap();
        let hidden = "[secret], [secret]";
        assert_eq!((method.as_str(), name.as_deref()), (hidden, Some(hidden)));
        assert_eq!(arguments.unwrap(), format!("[\"{hidden}\"]"));
    }
}
