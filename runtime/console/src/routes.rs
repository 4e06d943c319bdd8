//! The table of routes. Router, access, bodies, audit and the OpenAPI document are all made from it.

use crate::answer::{Call, Handled};
use crate::bodies::{Apply, Body, Login, NewToken, NewUser, Order, Plan, Rollback, UserChange, Write};
use crate::console::Console;
use crate::handlers::{changes, live, people, views};
use crate::limits::{AUDIT_LINES_MAX, BODY_BYTES_MAX, FILES_BYTES_MAX};
use crate::role::Role;
use gwp_core::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) type Handler = fn(Arc<Console>, Call) -> BoxFuture<'static, Handled>;

/// How a route is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    Get,
    Post,
    Delete,
}

impl Verb {
    /// As HTTP writes it.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Delete => "DELETE",
        }
    }
}

/// One operation.
#[derive(Clone, Copy)]
pub struct Route {
    pub verb: Verb,
    /// As axum and OpenAPI write it: `/v1/history/{id}`.
    pub path: &'static str,
    /// Its name, also in the audit log.
    pub operation: &'static str,
    pub summary: &'static str,
    /// The least role; without one nobody has to be let in.
    pub role: Option<Role>,
    /// Whether each call, also one that is refused, is a line of the audit log.
    pub is_audited: bool,
    pub query: &'static [Parameter],
    pub body: Option<BodyKind>,
    /// Status codes beside those that follow from the other columns, see [`Route::answers`].
    pub more: &'static [u16],
    /// Status when all went well.
    pub done: u16,
    pub(crate) handler: Handler,
}

/// A parameter of a query.
pub struct Parameter {
    pub name: &'static str,
    pub is_needed: bool,
    pub what: &'static str,
    pub schema: fn() -> Value,
}

/// A body that is JSON.
#[derive(Clone, Copy)]
pub struct BodyKind {
    /// Name of its schema.
    pub name: &'static str,
    pub schema: fn() -> Value,
    pub bytes_max: usize,
}

const fn body<B: Body>(name: &'static str) -> Option<BodyKind> {
    Some(BodyKind { name, schema: B::schema, bytes_max: BODY_BYTES_MAX })
}

const fn files<B: Body>(name: &'static str) -> Option<BodyKind> {
    Some(BodyKind { name, schema: B::schema, bytes_max: FILES_BYTES_MAX })
}

/// A handler as a plain function pointer.
macro_rules! by {
    ($handler:path) => {
        |console, call| Box::pin($handler(console, call))
    };
}

/// Path parts that a route of the gateway may not find, and states it may not fit.
const OPERATION: &[u16] = &[409, 501];
const CHANGE: &[u16] = &[409, 422, 501];
const FOUND: &[u16] = &[404, 501];

const fn get(path: &'static str, operation: &'static str, role: Option<Role>, handler: Handler) -> Route {
    Route {
        verb: Verb::Get,
        path,
        operation,
        summary: "",
        role,
        is_audited: false,
        query: &[],
        body: None,
        more: &[],
        done: 200,
        handler,
    }
}

const fn post(path: &'static str, operation: &'static str, role: Role, handler: Handler) -> Route {
    Route { verb: Verb::Post, is_audited: true, ..get(path, operation, Some(role), handler) }
}

const fn delete(path: &'static str, operation: &'static str, role: Role, handler: Handler) -> Route {
    Route { verb: Verb::Delete, more: &[404], ..post(path, operation, role, handler) }
}

use Role::{Admin, Engineer, Operator, Viewer};

/// All routes.
pub static ROUTES: &[Route] = &[
    Route {
        summary: "Says only that the gateway answers",
        ..get("/v1/health", "health", None, by!(views::health))
    },
    Route {
        summary: "This document",
        ..get("/v1/openapi.json", "openapi", Some(Viewer), by!(views::document))
    },
    Route {
        summary: "Give user and password for the token of a session",
        role: None,
        body: body::<Login>("Login"),
        more: &[401, 429],
        ..post("/v1/login", "login", Viewer, by!(people::login))
    },
    Route {
        summary: "End the session of this token",
        ..post("/v1/logout", "logout", Viewer, by!(people::logout))
    },
    Route {
        summary: "Sources, sinks, stages, log",
        ..get("/v1/status", "status", Some(Viewer), by!(views::status))
    },
    Route {
        summary: "All alarms as they are, and their latest events",
        ..get("/v1/alarms", "alarms", Some(Viewer), by!(views::alarms))
    },
    Route {
        summary: "Acknowledge, shelve or unshelve alarms of a device; 202 if it does not count yet",
        body: body::<Order>("Order"),
        more: &[202, 404, 409],
        ..post("/v1/alarms", "order", Operator, by!(views::order))
    },
    Route {
        summary: "The difference between what runs and what would run",
        is_audited: false,
        body: files::<Plan>("Plan"),
        more: CHANGE,
        ..post("/v1/plan", "plan", Engineer, by!(changes::plan))
    },
    Route {
        summary: "Run another program",
        body: files::<Apply>("Apply"),
        more: CHANGE,
        ..post("/v1/apply", "apply", Engineer, by!(changes::apply))
    },
    Route {
        summary: "Keep what was applied with confirm_within_s",
        more: OPERATION,
        ..post("/v1/confirm", "confirm", Engineer, by!(changes::confirm))
    },
    Route {
        summary: "What ran, the newest first",
        more: OPERATION,
        ..get("/v1/history", "history", Some(Viewer), by!(changes::history))
    },
    Route {
        summary: "One configuration with its files",
        more: FOUND,
        ..get("/v1/history/{id}", "configuration", Some(Viewer), by!(changes::configuration))
    },
    Route {
        summary: "Run a configuration of the history again",
        body: body::<Rollback>("Rollback"),
        more: &[404, 409, 422, 501],
        ..post("/v1/rollback", "rollback", Engineer, by!(changes::rollback))
    },
    Route {
        summary: "Sinks, what waits for them, and what was dropped",
        more: OPERATION,
        ..get("/v1/journals", "journals", Some(Viewer), by!(changes::journals))
    },
    Route {
        summary: "Stop the sources and deliver what waits",
        more: OPERATION,
        ..post("/v1/drain", "drain", Engineer, by!(changes::drain))
    },
    Route {
        summary: "What this node is in its pair, and what it hears of the others",
        more: OPERATION,
        ..get("/v1/pair", "pair", Some(Viewer), by!(changes::pair))
    },
    Route {
        summary: "Move the graph to the peer, in order",
        more: OPERATION,
        ..post("/v1/pair/switchover", "switchover", Operator, by!(changes::switchover))
    },
    Route {
        summary: "This node, which is not active, does not take over",
        more: OPERATION,
        ..post("/v1/pair/maintenance", "maintenance_on", Operator, by!(changes::maintenance_on))
    },
    Route {
        summary: "This node may take over again",
        more: OPERATION,
        ..delete("/v1/pair/maintenance", "maintenance_off", Operator, by!(changes::maintenance_off))
    },
    Route {
        summary: "Move the graph from the backup, which is active, back to the primary, in order",
        more: OPERATION,
        ..post("/v1/pair/failback", "failback", Operator, by!(changes::failback))
    },
    Route {
        summary: "Let the graph move by itself again, after that was latched",
        more: OPERATION,
        ..delete("/v1/pair/latch", "clear_latch", Operator, by!(changes::clear_latch))
    },
    Route {
        summary: "Become active without votes: only when it is certain that the peer is not",
        more: OPERATION,
        ..post("/v1/pair/force-activate", "force_activate", Admin, by!(changes::force_activate))
    },
    Route {
        summary: "End the process in order",
        more: OPERATION,
        ..post("/v1/stop", "stop", Admin, by!(changes::stop))
    },
    Route {
        summary: "Who changed what, the newest first",
        query: &[
            Parameter {
                name: "after",
                is_needed: false,
                what: "only lines with a greater number",
                schema: || json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
            },
            Parameter {
                name: "before",
                is_needed: false,
                what: "only lines with a smaller number",
                schema: || json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
            },
            Parameter {
                name: "limit",
                is_needed: false,
                what: "most lines of the answer; 100 without it",
                schema: || json!({ "type": "integer", "minimum": 1, "maximum": AUDIT_LINES_MAX }),
            },
        ],
        ..get("/v1/audit", "audit", Some(Admin), by!(views::audit))
    },
    Route { summary: "All users", ..get("/v1/users", "users", Some(Admin), by!(people::users)) },
    Route {
        summary: "Add a user",
        body: body::<NewUser>("NewUser"),
        more: &[409],
        done: 201,
        ..post("/v1/users", "user_add", Admin, by!(people::add_user))
    },
    Route {
        summary: "Give a user another role or password; sessions end with the password",
        body: body::<UserChange>("UserChange"),
        more: &[404],
        ..post("/v1/users/{name}", "user_change", Admin, by!(people::change_user))
    },
    Route {
        summary: "Remove a user and end its sessions",
        ..delete("/v1/users/{name}", "user_remove", Admin, by!(people::remove_user))
    },
    Route { summary: "All named tokens", ..get("/v1/tokens", "tokens", Some(Admin), by!(people::tokens)) },
    Route {
        summary: "Make a named token; it is shown this once",
        body: body::<NewToken>("NewToken"),
        more: &[409],
        done: 201,
        ..post("/v1/tokens", "token_add", Admin, by!(people::add_token))
    },
    Route {
        summary: "Remove a token",
        ..delete("/v1/tokens/{name}", "token_remove", Admin, by!(people::remove_token))
    },
    Route {
        summary: "All tags: path, kind, unit, newest value",
        more: &[501],
        ..get("/v1/tags", "tags", Some(Viewer), by!(live::tags))
    },
    Route {
        summary: "Write a value to a tag",
        body: body::<Write>("Write"),
        more: &[404, 409, 422, 501],
        ..post("/v1/tags/{path}", "write", Operator, by!(live::write))
    },
    Route {
        summary: "Live values as server-sent events; who is slow gets the latest",
        query: &[Parameter {
            name: "tags",
            is_needed: true,
            what: "paths of tags, with commas between them",
            schema: || json!({ "type": "string", "minLength": 1 }),
        }],
        more: &[404, 409, 422, 501],
        ..get("/v1/live", "live", Some(Viewer), by!(live::live))
    },
];

impl Route {
    /// Names of the parts of the path that vary.
    pub fn parts(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Every status code that this route answers with.
    pub fn answers(&self) -> Vec<u16> {
        let mut answers = vec![self.done, 400, 408, 413, 503];
        if self.role.is_some() {
            answers.extend([401, 403, 429]);
        }
        if self.body.is_some() {
            answers.push(415);
        }
        answers.extend(self.more);
        answers.sort_unstable();
        answers.dedup();
        answers
    }
}
