//! Errors as `application/problem+json` (RFC 9457).

use std::io;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// An error as a caller gets it: what was wrong and what to do.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl ToString) -> Self {
        Self { status, detail: detail.to_string() }
    }

    pub(super) fn not_found(detail: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this route has other methods: docs/api.md has them all")
    }

    /// What was asked for is malformed.
    pub(super) fn bad_request(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// An input that no round can use.
    pub(super) fn unusable(detail: impl ToString) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// The node is about to end.
    pub(super) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping")
    }

    /// This machine's fault.
    pub(super) fn internal(detail: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// An input could not be put on disk.
    pub(super) fn disk(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                format!(
                    "no room for the input on the disk of this node's home ({error}); nothing of it was kept"
                ),
            ),
            _ => {
                Self::internal(format!("the input could not be put on disk: {error}; nothing of it was kept"))
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, detail } = self;
        let body = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": detail,
        });
        let mut response = (status, body.to_string()).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_to_be_one() {
        let full = Problem::disk(&io::ErrorKind::StorageFull.into());
        assert_eq!(full.status, StatusCode::INSUFFICIENT_STORAGE);
        assert!(full.detail.contains("no room") && full.detail.contains("nothing of it was kept"));
        let other = Problem::disk(&io::ErrorKind::PermissionDenied.into());
        assert_eq!(other.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
