//! Problems: every error of the API as `application/problem+json`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::api::{PROBLEM_MEDIA_TYPE, ProblemBody};

/// No text in a problem is longer than this many characters.
const MAX_DETAIL_CHARS: usize = 500;

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    hints: Vec<String>,
}

impl Problem {
    /// A problem of a sort.
    pub const fn new(status: StatusCode, title: &'static str) -> Self {
        Self { status, title, detail: String::new(), hints: Vec::new() }
    }

    /// The same, saying what went wrong this time. Control characters are dropped and the text is cut.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        self.detail = detail.chars().filter(|c| !c.is_control()).take(MAX_DETAIL_CHARS).collect();
        self
    }

    /// The same, with what the caller can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// A part of the address is no name. What was sent is not repeated.
    pub fn invalid_name() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid name")
            .detail("a part of the path is not a valid name: use 1 to 63 of `a-z`, `0-9` and `-`")
    }

    /// There is no such route.
    pub fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such resource").hint("the API is under `/api/v1/`")
    }

    /// The route has other methods; axum adds `Allow`.
    pub fn method_not_allowed(method: &Method) -> Self {
        let title = "method not allowed";
        let is_known = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH].contains(method);
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, title);
        if is_known { problem.detail(format!("`{method}` is not possible here")) } else { problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            status: self.status.as_u16(),
            title: self.title.to_owned(),
            detail: self.detail,
            hints: self.hints,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"evenkeel\""));
        }
        response
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self::invalid_name()
    }
}

impl From<QueryRejection> for Problem {
    fn from(_: QueryRejection) -> Self {
        // The rejection's own text repeats what was sent.
        Self::new(StatusCode::BAD_REQUEST, "invalid query").detail("unknown, repeated or unreadable query parameter")
    }
}
