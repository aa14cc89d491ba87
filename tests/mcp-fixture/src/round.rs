//! Tools and prompts that ask back, as pure functions: what was answered so far goes in, the next question or the result comes out.
//!
//! The same functions serve both eras: see [`crate::ask`].

use rmcp::ErrorData;
use rmcp::model::{InputResponses, JsonObject, RequestStateCodec, SealOptions};
use serde_json::{Value, json};

use crate::prompt;

/// What follows from what was answered so far.
#[derive(Debug, PartialEq)]
pub(crate) enum Round {
    /// There is more to ask: requests by key, and the state to be given back.
    Ask { requests: Value, state: Option<String> },
    /// The result, as text.
    Done(String),
}

/// What is known when a round begins.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// The arguments of the call.
    pub(crate) arguments: &'a JsonObject,
    /// What was answered in this round.
    pub(crate) responses: &'a InputResponses,
    /// The state as it came back.
    pub(crate) state: Option<&'a str>,
    /// Whether the client can sample.
    pub(crate) can_sample: bool,
    /// Whether the client can ask its user.
    pub(crate) can_elicit: bool,
}

/// Seals and opens states. A key for tests: every process has the same one, so a round may end at another one than it began at.
pub(crate) fn codec() -> RequestStateCodec {
    RequestStateCodec::new_unchecked(*b"a key of the fixture, for tests!")
}

/// The next round of the tool or prompt `name`; none if it is not one that asks.
///
/// # Errors
///
/// When the state that came back is not one that was given out for `name`.
pub(crate) fn next(name: &str, known: &Known<'_>) -> Option<Result<Round, ErrorData>> {
    let argument = |key: &str| known.arguments.get(key).and_then(Value::as_str).unwrap_or_default();
    let round = match name {
        "test_sampling" => known.one("sampling", &sampling(argument("prompt"), 100), |answer| {
            format!("LLM response: {}", sampled_text(answer))
        }),
        "test_elicitation" => known.one("user", &elicitation(argument("message"), &user_fields()), |answer| {
            format!("User response: {}", action_and_content(answer))
        }),
        "test_elicitation_sep1034_defaults" => {
            known.one("form", &elicitation("Please check the defaults", &default_fields()), completed)
        }
        "test_elicitation_sep1330_enums" => {
            known.one("form", &elicitation("Please choose", &choice_fields()), completed)
        }
        "test_streaming_elicitation" => {
            known.one("confirm", &elicitation("Please confirm", &field("ok", "boolean")), completed)
        }
        "test_missing_capability" | "test_input_required_result_sampling" => {
            known.one("capital_question", &sampling("What is the capital of France?", 100), sampled_text)
        }
        "test_input_required_result_elicitation" => {
            known.one("user_name", &elicitation("What is your name?", &field("name", "string")), |answer| {
                format!("Hello, {}!", content_text(answer, "name"))
            })
        }
        "test_input_required_result_list_roots" => {
            known.one("client_roots", &roots(), |answer| format!("Roots: {}", answer["roots"]))
        }
        prompt::ASKING => known.one(
            "user_context",
            &elicitation("What context should the prompt use?", &field("context", "string")),
            |answer| content_text(answer, "context"),
        ),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            return Some(confirmed(name, known));
        }
        "test_input_required_result_multiple_inputs" => return Some(three_at_once(name, known)),
        "test_input_required_result_multi_round" => return Some(two_in_a_row(name, known)),
        "test_input_required_result_capabilities" => what_the_client_can(known),
        _ => return None,
    };
    Some(Ok(round))
}

impl Known<'_> {
    /// The answer to `key`, if it is one at all: an object.
    fn answer(&self, key: &str) -> Option<&Value> {
        self.responses.get(key).filter(|answer| answer.is_object())
    }

    /// A round with one question and no state.
    fn one(&self, key: &str, request: &Value, done: impl FnOnce(&Value) -> String) -> Round {
        match self.answer(key) {
            Some(answer) => Round::Done(done(answer)),
            None => Round::Ask { requests: json!({ key: request }), state: None },
        }
    }

    /// The state that came back, opened.
    fn open(&self, name: &str) -> Result<Option<String>, ErrorData> {
        let Some(sealed) = self.state else { return Ok(None) };
        let opened = codec()
            .open_with(sealed, name.as_bytes())
            .map_err(|error| ErrorData::invalid_params(format!("requestState is not ours: {error}"), None))?;
        Ok(Some(String::from_utf8_lossy(&opened).into_owned()))
    }
}

fn seal(name: &str, state: &str) -> String {
    codec().seal_with(state.as_bytes(), &SealOptions::new().associated_data(name.as_bytes()))
}

fn confirmed(name: &str, known: &Known<'_>) -> Result<Round, ErrorData> {
    let state = known.open(name)?;
    Ok(match (state, known.answer("confirm")) {
        (Some(_), Some(_)) => Round::Done("state-ok".to_owned()),
        _ => Round::Ask {
            requests: json!({ "confirm": elicitation("Please confirm", &field("ok", "boolean")) }),
            state: Some(seal(name, "confirm")),
        },
    })
}

fn three_at_once(name: &str, known: &Known<'_>) -> Result<Round, ErrorData> {
    let state = known.open(name)?;
    let answers = (known.answer("user_name"), known.answer("greeting"), known.answer("client_roots"));
    Ok(match (state, answers) {
        (Some(_), (Some(user), Some(greeting), Some(roots))) => {
            Round::Done(format!("{} {} Roots: {}", content_text(user, "name"), sampled_text(greeting), roots["roots"]))
        }
        _ => Round::Ask {
            requests: json!({
                "user_name": elicitation("What is your name?", &field("name", "string")),
                "greeting": sampling("Generate a greeting", 50),
                "client_roots": roots(),
            }),
            state: Some(seal(name, "three")),
        },
    })
}

fn two_in_a_row(name: &str, known: &Known<'_>) -> Result<Round, ErrorData> {
    let state = known.open(name)?;
    let state = state.as_deref().and_then(|state| state.split_once(':'));
    Ok(match (state, known.answer("step1"), known.answer("step2")) {
        (Some(("2", person)), _, Some(color)) => {
            Round::Done(format!("{person} likes {}.", content_text(color, "color")))
        }
        (Some(("1", _)), Some(person), _) => Round::Ask {
            requests: json!({ "step2": elicitation("Step 2: What is your favorite color?", &field("color", "string")) }),
            state: Some(seal(name, &format!("2:{}", content_text(person, "name")))),
        },
        (Some(("2", person)), _, None) => Round::Ask {
            requests: json!({ "step2": elicitation("Step 2: What is your favorite color?", &field("color", "string")) }),
            state: Some(seal(name, &format!("2:{person}"))),
        },
        _ => Round::Ask {
            requests: json!({ "step1": elicitation("Step 1: What is your name?", &field("name", "string")) }),
            state: Some(seal(name, "1:")),
        },
    })
}

fn what_the_client_can(known: &Known<'_>) -> Round {
    let mut requests = json!({});
    if known.can_sample {
        requests["sample"] = sampling("Say something", 50);
    }
    if known.can_elicit {
        requests["confirm"] = elicitation("Please confirm", &field("ok", "boolean"));
    }
    let asked = requests.as_object().into_iter().flatten();
    let is_answered = asked.map(|(key, _)| key).all(|key| known.answer(key).is_some());
    if is_answered { Round::Done("asked for what can be had".to_owned()) } else { Round::Ask { requests, state: None } }
}

fn sampling(prompt: &str, max_tokens: u32) -> Value {
    json!({
        "method": "sampling/createMessage",
        "params": {
            "messages": [{ "role": "user", "content": { "type": "text", "text": prompt } }],
            "maxTokens": max_tokens,
        },
    })
}

fn roots() -> Value {
    json!({ "method": "roots/list" })
}

fn elicitation(message: &str, schema: &Value) -> Value {
    json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema": schema } })
}

fn field(name: &str, kind: &str) -> Value {
    json!({ "type": "object", "properties": { name: { "type": kind } }, "required": [name] })
}

fn user_fields() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": { "type": "string", "description": "User's response" },
            "email": { "type": "string", "description": "User's email address" },
        },
        "required": ["username", "email"],
    })
}

fn default_fields() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
            "verified": { "type": "boolean", "default": true },
        },
    })
}

fn choice_fields() -> Value {
    let titled = |words: [&str; 3]| {
        let [first, second, third] = words;
        json!([
            { "const": "value1", "title": first },
            { "const": "value2", "title": second },
            { "const": "value3", "title": third },
        ])
    };
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
            "titledSingle": { "type": "string", "oneOf": titled(["First Option", "Second Option", "Third Option"]) },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": { "type": "array", "items": { "type": "string", "enum": ["option1", "option2", "option3"] } },
            "titledMulti": { "type": "array", "items": { "anyOf": titled(["First Choice", "Second Choice", "Third Choice"]) } },
        },
    })
}

fn completed(answer: &Value) -> String {
    format!("Elicitation completed: {}", action_and_content(answer))
}

fn action_and_content(answer: &Value) -> String {
    format!("action={}, content={}", answer["action"].as_str().unwrap_or("none"), answer["content"])
}

fn content_text(answer: &Value, key: &str) -> String {
    answer["content"][key].as_str().unwrap_or("nobody").to_owned()
}

fn sampled_text(answer: &Value) -> String {
    answer["content"]["text"].as_str().unwrap_or("nothing").to_owned()
}
