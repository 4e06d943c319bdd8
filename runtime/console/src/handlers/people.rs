//! Logins, users and tokens.

use crate::accounts::{AccountsError, Token, User};
use crate::answer::{Answer, Call, Handled, Refused, ok};
use crate::bodies::{self, Login, NewToken, NewUser, UserChange};
use crate::console::{Console, utc};
use crate::role::Means;
use crate::secret::{hash_password, is_password, new_token, token_hash};
use crate::sessions::{SESSION_IDLE, SESSION_LIFE};
use axum::http::StatusCode;
use gwp_core::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

impl From<AccountsError> for Refused {
    fn from(error: AccountsError) -> Refused {
        let status = match &error {
            AccountsError::NotFound(..) => StatusCode::NOT_FOUND,
            AccountsError::Exists(..) | AccountsError::Full(_) => StatusCode::CONFLICT,
            AccountsError::Name(_) => StatusCode::BAD_REQUEST,
            AccountsError::Io(..) | AccountsError::Damaged(..) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refused::new(status, error)
    }
}

/// Runs work that takes a core or a disk for a while.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refused::busy("the work could not be done"))
}

/// Runs work on a password: little of it at once, and little of it waiting.
async fn hashing<T: Send + 'static>(
    console: &Console,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    let busy = || Refused::busy("too many logins at once");
    let _waiting = console.hashes_waiting.try_acquire().map_err(|_| busy())?;
    let _turn = console.hashes.acquire().await.map_err(|_| busy())?;
    aside(work).await
}

/// A user who is not there and a password that is wrong look the same and take as long.
pub async fn login(console: Arc<Console>, call: Call) -> Handled {
    let Login { user, password } = bodies::read(&call.body).map_err(Refused::bad)?;
    call.note.edit(|note| note.claims = Some(user.clone()));
    let from = call.from.ip();
    {
        let (mut attempts, now) = (console.records.attempts(), Instant::now());
        attempts.may(Some(&user), from, now).map_err(Refused::too_many)?;
        // Before it is looked at, so that many at once count as many.
        attempts.wrong(Some(&user), from, now);
    }
    let known = console.records.accounts().user(&user).map(|user| user.password.clone());
    let (fits, kept) = hashing(&console, move || {
        let fits = is_password(&password, known.as_deref());
        (fits, known.unwrap_or_default())
    })
    .await?;
    if !fits {
        return Err(Refused::new(StatusCode::UNAUTHORIZED, "user or password is wrong"));
    }
    let unavailable = |error| Refused::busy(format!("no token can be made: {error}"));
    let token = new_token().map_err(unavailable)?;
    console.records.attempts().right(&user, from);
    console.records.sessions().begin(token_hash(&token), &user, token_hash(&kept), Instant::now());
    let role = console.records.accounts().user(&user).map(|user| user.role);
    let (idle, life) = (SESSION_IDLE.as_secs(), SESSION_LIFE.as_secs());
    ok(json!({ "token": token, "role": role, "idle_s": idle, "expires_in_s": life }))
}

/// Ends the session of the caller; other tokens stay.
pub async fn logout(console: Arc<Console>, call: Call) -> Handled {
    let session = call.caller.as_ref().and_then(|caller| match caller.means {
        Means::Session(hash) => Some(hash),
        _ => None,
    });
    if let Some(hash) = session {
        console.records.sessions().end(&hash);
    }
    ok(json!({ "logged_out": session.is_some() }))
}

pub async fn users(console: Arc<Console>, _: Call) -> Handled {
    let accounts = console.records.accounts();
    let users = accounts.users().iter();
    let users = users.map(|user| json!({ "name": user.name, "role": user.role, "since": user.since }));
    ok(json!({ "users": users.collect::<Vec<_>>() }))
}

pub async fn add_user(console: Arc<Console>, call: Call) -> Handled {
    let NewUser { name, role, password } = bodies::read(&call.body).map_err(Refused::bad)?;
    call.note.edit(|note| (note.target, note.detail) = (name.clone(), json!({ "role": role })));
    let hash = hashing(&console, move || hash_password(&password)).await?;
    let password = hash.map_err(|error| Refused::busy(format!("no password can be kept: {error}")))?;
    let user = User { name: name.clone(), role, password, since: utc().to_string() };
    let records = console.records.clone();
    aside(move || records.accounts().add_user(user)).await??;
    Ok(Answer::Json(StatusCode::CREATED, json!({ "name": name, "role": role })))
}

pub async fn change_user(console: Arc<Console>, call: Call) -> Handled {
    let UserChange { role, password } = bodies::read(&call.body).map_err(Refused::bad)?;
    let name = call.part("name").to_owned();
    let changes = json!({ "role": role, "password": password.is_some() });
    call.note.edit(|note| (note.target, note.detail) = (name.clone(), changes));
    let hash = match password {
        None => None,
        Some(password) => Some(hashing(&console, move || hash_password(&password)).await?),
    };
    let hash = hash.transpose();
    let hash = hash.map_err(|error| Refused::busy(format!("no password can be kept: {error}")))?;
    let records = console.records.clone();
    let of = name.clone();
    aside(move || records.accounts().change_user(&of, role, hash)).await??;
    ok(json!({ "name": name }))
}

pub async fn remove_user(console: Arc<Console>, call: Call) -> Handled {
    let name = call.part("name").to_owned();
    call.note.edit(|note| note.target = name.clone());
    let (records, of) = (console.records.clone(), name.clone());
    aside(move || records.accounts().remove_user(&of)).await??;
    ok(json!({ "name": name }))
}

fn token_json(token: &Token) -> Value {
    let expires = token.expires_ms.map(|ms| Timestamp::from_millis(ms).to_string());
    json!({ "name": token.name, "role": token.role, "since": token.since, "expires": expires })
}

pub async fn tokens(console: Arc<Console>, _: Call) -> Handled {
    let accounts = console.records.accounts();
    ok(json!({ "tokens": accounts.tokens().iter().map(token_json).collect::<Vec<_>>() }))
}

/// Makes a token. It is shown this once.
pub async fn add_token(console: Arc<Console>, call: Call) -> Handled {
    let NewToken { name, role, expires_in_s } = bodies::read(&call.body).map_err(Refused::bad)?;
    let detail = json!({ "role": role, "expires_in_s": expires_in_s });
    call.note.edit(|note| (note.target, note.detail) = (name.clone(), detail));
    let unavailable = |error| Refused::busy(format!("no token can be made: {error}"));
    let secret = new_token().map_err(unavailable)?;
    let token = Token::new(name, role, &secret, expires_in_s, utc());
    let mut answer = token_json(&token);
    answer["token"] = secret.into();
    let records = console.records.clone();
    aside(move || records.accounts().add_token(token)).await??;
    Ok(Answer::Json(StatusCode::CREATED, answer))
}

pub async fn remove_token(console: Arc<Console>, call: Call) -> Handled {
    let name = call.part("name").to_owned();
    call.note.edit(|note| note.target = name.clone());
    let (records, of) = (console.records.clone(), name.clone());
    aside(move || records.accounts().remove_token(&of)).await??;
    ok(json!({ "name": name }))
}
