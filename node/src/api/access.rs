//! The token that callers over TCP show. Whoever can open the socket needs none.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use rand::TryRng as _;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Problem;

/// Random bytes of a token; its file holds them in hexadecimal.
const TOKEN_BYTES: usize = 32;

/// Who shows it may use the API.
pub(super) struct Token(Zeroizing<Vec<u8>>);

impl Token {
    /// The token of a home; a new one, 0600, where there is none.
    pub(super) fn load_or_create(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => Self::read(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error),
        }
    }

    fn read(file: File) -> io::Result<Self> {
        let refused = |what: String| io::Error::other(format!("{what}; remove it, and a new one is made"));
        let mode = file.metadata()?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(refused(format!("mode {mode:04o} lets others read the token, expected 0600")));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(2 * TOKEN_BYTES + 2));
        file.take(2 * TOKEN_BYTES as u64 + 2).read_to_end(&mut text)?;
        let digits = Zeroizing::new(text.trim_ascii_end().to_vec());
        if digits.len() != 2 * TOKEN_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(refused(format!("expected {} hexadecimal digits", 2 * TOKEN_BYTES)));
        }
        Ok(Self(digits))
    }

    fn create(path: &Path) -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        rand::rngs::SysRng.try_fill_bytes(bytes.as_mut_slice()).map_err(io::Error::other)?;
        let digits = Zeroizing::new(hex::encode(bytes.as_slice()).into_bytes());
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&digits).and_then(|()| file.write_all(b"\n"))?;
        file.sync_all()?;
        Ok(Self(digits))
    }

    /// Whether this is it; takes as long whatever is wrong with it.
    fn is(&self, shown: &[u8]) -> bool {
        self.0.as_slice().ct_eq(shown).into()
    }
}

/// Lets a request pass that shows the token.
pub(super) async fn check(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let shown = shown.and_then(|value| match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Some(token),
        _ => None,
    });
    match shown {
        Some(shown) if token.is(shown) => next.run(request).await,
        Some(_) => {
            Problem::new(StatusCode::UNAUTHORIZED, "this is not the token in api.token").into_response()
        }
        None => {
            let detail = "show the token that is in the home's api.token: Authorization: Bearer TOKEN";
            Problem::new(StatusCode::UNAUTHORIZED, detail).into_response()
        }
    }
}
