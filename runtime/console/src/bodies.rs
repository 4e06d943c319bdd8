//! Bodies of requests: what they hold, within which bounds, and how the OpenAPI document says it.
//!
//! The bounds stand in constants that both the check and the schema use.

use crate::accounts::NAME_BYTES_MAX;
use crate::limits::{FILE_NAME_CHARS_MAX, FILES_MAX};
use crate::operations::{ApplyOptions, Change};
use crate::role::{ROLES, Role};
use crate::secret::{PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
use gwp_engine::Removed;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

/// Characters of a message, an order, a written text, an id, and of what names somebody at a login.
const MESSAGE_CHARS_MAX: usize = 1_000;
const ORDER_CHARS_MAX: usize = 1_000;
const TEXT_CHARS_MAX: usize = 4_096;
const ID_CHARS_MAX: usize = 128;
const LOGIN_CHARS_MAX: usize = 256;

/// Seconds of a probation, and of a token's life.
const PROBATION_S: (u32, u32) = (10, 86_400);
const TOKEN_LIFE_S: (u64, u64) = (60, 10 * 366 * 86_400);

/// A body that can be read, checked and described.
pub trait Body: for<'a> Deserialize<'a> {
    /// JSON Schema of it.
    fn schema() -> Value;

    /// # Errors
    /// What is wrong, with place and remedy.
    fn check(&self) -> Result<(), String>;
}

/// Reads a body.
///
/// # Errors
/// What is wrong, with place and remedy.
pub fn read<B: Body>(bytes: &[u8]) -> Result<B, String> {
    let wrong = |error| format!("the body is not what this takes: {error}; see /v1/openapi.json");
    let Object(body): Object<B> = serde_json::from_slice(bytes).map_err(wrong)?;
    body.check()?;
    Ok(body)
}

/// What stands as a JSON object; a derived `Deserialize` takes a list of the fields' values, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        from.deserialize_map(OfMap(PhantomData))
    }
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}

fn text(min: usize, max: usize) -> Value {
    json!({ "type": "string", "minLength": min, "maxLength": max })
}

fn roles() -> Value {
    json!({ "type": "string", "enum": ROLES.map(Role::word) })
}

fn password() -> Value {
    text(PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX)
}

fn name() -> Value {
    let pattern = format!("^[a-z][a-z0-9._-]{{0,{}}}$", NAME_BYTES_MAX - 1);
    json!({ "type": "string", "pattern": pattern, "not": { "const": crate::role::LOCAL } })
}

/// May be left out, and may be null.
fn or_null(mut schema: Value) -> Value {
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    }
    schema
}

/// Checks the number of characters of a text.
fn within(what: &str, text: &str, min: usize, max: usize) -> Result<(), String> {
    match (min..=max).contains(&text.chars().count()) {
        true => Ok(()),
        false => Err(format!("`{what}` has {min} to {max} characters")),
    }
}

/// `POST /v1/login`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl Body for Login {
    fn schema() -> Value {
        let texts = || text(1, LOGIN_CHARS_MAX);
        object(&["user", "password"], json!({ "user": texts(), "password": texts() }))
    }

    fn check(&self) -> Result<(), String> {
        within("user", &self.user, 1, LOGIN_CHARS_MAX)?;
        within("password", &self.password, 1, LOGIN_CHARS_MAX)
    }
}

/// `POST /v1/alarms`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub device: String,
    pub order: String,
}

impl Body for Order {
    fn schema() -> Value {
        let texts = || text(1, ORDER_CHARS_MAX);
        object(&["device", "order"], json!({ "device": texts(), "order": texts() }))
    }

    fn check(&self) -> Result<(), String> {
        within("device", &self.device, 1, ORDER_CHARS_MAX)?;
        within("order", &self.order, 1, ORDER_CHARS_MAX)
    }
}

/// A file of a program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    text: String,
}

fn files_schema() -> Value {
    let file = object(
        &["name", "text"],
        json!({ "name": text(1, FILE_NAME_CHARS_MAX), "text": { "type": "string" } }),
    );
    json!({ "type": "array", "minItems": 1, "maxItems": FILES_MAX, "items": file })
}

fn check_files(files: &[Object<File>]) -> Result<(), String> {
    if !(1..=FILES_MAX).contains(&files.len()) {
        return Err(format!("`files` has 1 to {FILES_MAX} files"));
    }
    let mut names = HashSet::new();
    for Object(file) in files {
        within("name", &file.name, 1, FILE_NAME_CHARS_MAX)?;
        let is_plain = |part: &str| !["", ".", ".."].contains(&part);
        let is_path = !file.name.contains(['\\', ':', '\0']) && file.name.split('/').all(is_plain);
        if !is_path {
            let name = &file.name;
            return Err(format!(
                "`{name}` is no name of a file: write it relative and without `..`, as `lines/press.gwp`"
            ));
        }
        if !names.insert(&*file.name) {
            return Err(format!("two files have the name `{}`", file.name));
        }
    }
    Ok(())
}

fn change(files: Vec<Object<File>>) -> Change {
    Change { files: files.into_iter().map(|Object(file)| (file.name, file.text)).collect() }
}

/// `POST /v1/plan`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    files: Vec<Object<File>>,
}

impl Plan {
    pub fn change(self) -> Change {
        change(self.files)
    }
}

impl Body for Plan {
    fn schema() -> Value {
        object(&["files"], json!({ "files": files_schema() }))
    }

    fn check(&self) -> Result<(), String> {
        check_files(&self.files)
    }
}

/// `POST /v1/apply`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    files: Vec<Object<File>>,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub confirm_within_s: Option<u32>,
    #[serde(default)]
    pub removed: Removed,
    #[serde(default)]
    pub expected: Option<String>,
    #[serde(default)]
    pub single: bool,
}

impl Apply {
    /// What to run, and how.
    pub fn parts(self) -> (Change, ApplyOptions) {
        let Apply { files, message, confirm_within_s, removed, expected, single } = self;
        (change(files), ApplyOptions { message, confirm_within_s, removed, expected, single })
    }
}

fn options_schema(first: &str, of_first: Value) -> Value {
    let (min, max) = PROBATION_S;
    let mut schema = object(
        &[first],
        json!({
            "message": text(0, MESSAGE_CHARS_MAX),
            "confirm_within_s": { "type": ["integer", "null"], "minimum": min, "maximum": max },
            "removed": { "type": "string", "enum": ["drain", "keep", "discard"] },
            "expected": or_null(text(1, ID_CHARS_MAX)),
            "single": { "type": "boolean" },
        }),
    );
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(first.into(), of_first);
    }
    schema
}

fn check_options(message: &str, confirm_within_s: Option<u32>, expected: Option<&str>) -> Result<(), String> {
    within("message", message, 0, MESSAGE_CHARS_MAX)?;
    expected.map_or(Ok(()), |id| within("expected", id, 1, ID_CHARS_MAX))?;
    let (min, max) = PROBATION_S;
    match confirm_within_s.is_none_or(|seconds| (min..=max).contains(&seconds)) {
        true => Ok(()),
        false => Err(format!("`confirm_within_s` is {min} to {max}")),
    }
}

impl Body for Apply {
    fn schema() -> Value {
        options_schema("files", files_schema())
    }

    fn check(&self) -> Result<(), String> {
        check_files(&self.files)?;
        check_options(&self.message, self.confirm_within_s, self.expected.as_deref())
    }
}

/// `POST /v1/rollback`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    pub id: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub confirm_within_s: Option<u32>,
    #[serde(default)]
    pub removed: Removed,
    #[serde(default)]
    pub expected: Option<String>,
    #[serde(default)]
    pub single: bool,
}

impl Rollback {
    /// Which configuration, and how.
    pub fn parts(self) -> (String, ApplyOptions) {
        let Rollback { id, message, confirm_within_s, removed, expected, single } = self;
        (id, ApplyOptions { message, confirm_within_s, removed, expected, single })
    }
}

impl Body for Rollback {
    fn schema() -> Value {
        options_schema("id", text(1, ID_CHARS_MAX))
    }

    fn check(&self) -> Result<(), String> {
        within("id", &self.id, 1, ID_CHARS_MAX)?;
        check_options(&self.message, self.confirm_within_s, self.expected.as_deref())
    }
}

/// `POST /v1/users`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    pub name: String,
    pub role: Role,
    pub password: String,
}

impl Body for NewUser {
    fn schema() -> Value {
        object(
            &["name", "role", "password"],
            json!({ "name": name(), "role": roles(), "password": password() }),
        )
    }

    fn check(&self) -> Result<(), String> {
        crate::accounts::check_name(&self.name).map_err(|error| error.to_string())?;
        crate::secret::check_password(&self.password)
    }
}

/// `POST /v1/users/{name}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    #[serde(default)]
    pub role: Option<Role>,
    #[serde(default)]
    pub password: Option<String>,
}

impl Body for UserChange {
    fn schema() -> Value {
        let role =
            json!({ "type": ["string", "null"], "enum": ["viewer", "operator", "engineer", "admin", null] });
        object(&[], json!({ "role": role, "password": or_null(password()) }))
    }

    fn check(&self) -> Result<(), String> {
        self.password.as_deref().map_or(Ok(()), crate::secret::check_password)
    }
}

/// `POST /v1/tokens`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    pub name: String,
    pub role: Role,
    #[serde(default)]
    pub expires_in_s: Option<u64>,
}

impl Body for NewToken {
    fn schema() -> Value {
        let (min, max) = TOKEN_LIFE_S;
        let expires = json!({ "type": ["integer", "null"], "minimum": min, "maximum": max });
        object(&["name", "role"], json!({ "name": name(), "role": roles(), "expires_in_s": expires }))
    }

    fn check(&self) -> Result<(), String> {
        crate::accounts::check_name(&self.name).map_err(|error| error.to_string())?;
        let (min, max) = TOKEN_LIFE_S;
        match self.expires_in_s.is_none_or(|seconds| (min..=max).contains(&seconds)) {
            true => Ok(()),
            false => Err(format!("`expires_in_s` is {min} to {max}")),
        }
    }
}

/// `POST /v1/tags/{path}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    pub value: Value,
}

impl Body for Write {
    fn schema() -> Value {
        let value = json!({ "type": ["boolean", "number", "string"], "maxLength": TEXT_CHARS_MAX });
        object(&["value"], json!({ "value": value }))
    }

    fn check(&self) -> Result<(), String> {
        match &self.value {
            Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::String(text) => within("value", text, 0, TEXT_CHARS_MAX),
            _ => Err("`value` is true, false, a number or a text".into()),
        }
    }
}
