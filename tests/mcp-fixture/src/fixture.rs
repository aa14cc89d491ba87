//! The server: which request goes where.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, GetPromptRequestParams,
    GetPromptResponse, Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, LoggingLevel, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscribeRequestParams,
    SubscriptionFilter, Tool, UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer, SubscriptionContext};
use rmcp::{ErrorData, ServerHandler};
use serde_json::json;

use crate::arguments::Behaviour;
use crate::ask::{self, Asking, Outcome, is_modern};
use crate::catalogue::Catalogue;
use crate::change::{Change, Listeners, Subscribed};
use crate::conduct::{Conduct, Deed};
use crate::content::{parse, text_result};
use crate::era::Era;
use crate::{prompt, resource, tool};

/// One session with the server. The catalogue, the calls counted and the listeners are common to all sessions.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    /// What is offered.
    pub(crate) catalogue: Arc<Catalogue>,
    /// Who is told of changes.
    pub(crate) listeners: Arc<Listeners>,
    conduct: Arc<Conduct>,
    info: ServerConfig,
    era: Era,
    subscribed: Subscribed,
    level: Arc<Mutex<Option<LoggingLevel>>>,
}

impl Fixture {
    /// A server that behaves so.
    pub(crate) fn new(behaviour: &Behaviour) -> anyhow::Result<Self> {
        let capabilities: ServerCapabilities = serde_json::from_value(json!({
            "tools": { "listChanged": true },
            "prompts": { "listChanged": true },
            "resources": { "listChanged": true, "subscribe": true },
            "completions": {},
            "logging": {},
        }))?;
        let implementation = Implementation::new(behaviour.name.clone(), env!("CARGO_PKG_VERSION"));
        Ok(Self {
            catalogue: Arc::new(Catalogue::new(behaviour)?),
            listeners: Arc::default(),
            conduct: Arc::new(Conduct::new(behaviour)),
            info: ServerConfig::new(capabilities)
                .with_server_info(implementation)
                .with_instructions("A server for tests. Nothing it says is true."),
            era: behaviour.era,
            subscribed: Subscribed::default(),
            level: Arc::default(),
        })
    }

    /// The same server, for another session.
    pub(crate) fn for_session(&self) -> Self {
        Self { subscribed: Subscribed::default(), level: Arc::default(), ..self.clone() }
    }

    /// Whether a log message at level info is wanted: by the request, in the Modern era, else by the session.
    pub(crate) fn wants_log(&self, context: &RequestContext<RoleServer>) -> bool {
        let level = if is_modern(context) {
            context.meta.log_level()
        } else {
            Some(self.level.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(LoggingLevel::Info))
        };
        level.is_some_and(|level| matches!(level, LoggingLevel::Debug | LoggingLevel::Info))
    }

    async fn answer_call(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.clone().unwrap_or_default();
        if request.name == "test_streaming_elicitation" && request.input_responses.is_none() {
            tool::progress(context, 10.0).await;
        }
        let asking = Asking {
            name: &request.name,
            arguments: &arguments,
            responses: request.input_responses.as_ref(),
            state: request.request_state.as_deref(),
        };
        match ask::run(asking, context).await {
            Some(Ok(Outcome::Done(text))) => Ok(text_result(&text)?.into()),
            Some(Ok(Outcome::InputRequired(result))) => Ok(result.into()),
            Some(Err(error)) => Err(error),
            None => Ok(tool::call(self, &request.name, &arguments, context).await?.into()),
        }
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        self.info.clone()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(self.era.versions())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.catalogue.tools().into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.catalogue.list_tools(request.and_then(|request| request.cursor).as_deref())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let deed = self.conduct.begin().await;
        let response = self.answer_call(&request, &context).await;
        if deed == Deed::Change {
            self.catalogue.change(|present| present.changed_description = true);
            self.listeners.tell(Change::Tools).await;
        }
        response
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.catalogue.list_prompts()
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.clone().unwrap_or_default();
        let asking = Asking {
            name: &request.name,
            arguments: &arguments,
            responses: request.input_responses.as_ref(),
            state: request.request_state.as_deref(),
        };
        // A tool's name is no prompt's.
        let asked = if request.name == prompt::ASKING { ask::run(asking, &context).await } else { None };
        match asked {
            Some(Ok(Outcome::Done(text))) => Ok(prompt::get(&request.name, &arguments, &text)?.into()),
            Some(Ok(Outcome::InputRequired(result))) => Ok(result.into()),
            Some(Err(error)) => Err(error),
            None => Ok(prompt::get(&request.name, &arguments, "")?.into()),
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.catalogue.list_resources()
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.catalogue.list_templates()
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(resource::read(&request.uri)?.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let words = ["paris", "park", "party", "test", "testing"];
        let values: Vec<_> = words.iter().filter(|word| word.starts_with(&request.argument.value)).collect();
        parse(json!({
            "resultType": "complete",
            "completion": { "values": values, "total": values.len(), "hasMore": false },
        }))
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if is_modern(&context) {
            return Err(ErrorData::method_not_found::<rmcp::model::SetLevelRequestMethod>());
        }
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.level);
        Ok(())
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).remove(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.listeners.add_stream(context.sink().clone());
        context.cancelled().await;
        Ok(())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.listeners.add_session(context.peer, Arc::clone(&self.subscribed));
    }
}
