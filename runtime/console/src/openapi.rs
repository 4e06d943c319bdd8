//! The OpenAPI document, made from the table of routes.

use crate::routes::{ROUTES, Route};
use serde_json::{Map, Value, json};

/// What a status code means here.
fn meaning(status: u16) -> &'static str {
    match status {
        200 => "Done",
        201 => "Made",
        202 => "In the log; it does not count yet",
        400 => "The request is not what this route takes; `error` says where and what instead",
        401 => "No token, or one that lets nobody in",
        403 => "The role of the caller is not enough",
        404 => "There is no such thing",
        408 => "The body took too long to arrive",
        409 => "It does not fit what is the case",
        413 => "The body is too large",
        415 => "The body is not `application/json`",
        422 => "The program has errors; `diagnostics` lists them",
        429 => "Too many wrong attempts; `Retry-After` says how many seconds to wait",
        501 => "This gateway cannot do it",
        503 => "Not now: too much at once, the gateway stops, or the audit log cannot be written",
        _ => "",
    }
}

fn response(route: &Route, status: u16) -> Value {
    if status < 300 && route.path == "/v1/live" {
        let content = json!({ "text/event-stream": { "schema": { "type": "string" } } });
        return json!({ "description": "Events as they come", "content": content });
    }
    let schema = if status < 300 { "Done" } else { "Error" };
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "description": meaning(status), "content": { "application/json": { "schema": schema } } })
}

fn operation(route: &Route) -> Value {
    let responses: Map<String, Value> =
        route.answers().into_iter().map(|status| (status.to_string(), response(route, status))).collect();
    let parts = route.parts().map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
    });
    let query = route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "required": parameter.is_needed,
            "description": parameter.what,
            "schema": (parameter.schema)(),
        })
    });
    let least = route.role.map_or("nobody has to be let in".to_owned(), |role| format!("least role: {role}"));
    let audited = if route.is_audited { "; a line of the audit log" } else { "" };
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "description": format!("{least}{audited}"),
        "parameters": parts.chain(query).collect::<Vec<_>>(),
        "responses": responses,
    });
    match route.role {
        Some(role) => operation["x-role"] = role.word().into(),
        None => operation["security"] = json!([]),
    }
    if let Some(body) = &route.body {
        let schema = json!({ "$ref": format!("#/components/schemas/{}", body.name) });
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

/// The document (OpenAPI 3.1).
pub fn document() -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for route in ROUTES {
        let method = route.verb.word().to_lowercase();
        let of_path = paths.entry(route.path).or_insert_with(|| json!({}));
        of_path[method] = operation(route);
        if let Some(body) = &route.body {
            schemas.insert(body.name.into(), (body.schema)());
        }
    }
    schemas.insert("Done".into(), json!({ "type": "object" }));
    schemas.insert(
        "Error".into(),
        json!({
            "type": "object",
            "required": ["error"],
            "properties": { "error": { "type": "string" }, "diagnostics": {} },
            "additionalProperties": false,
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "gwp",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Control interface of a running gateway",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_told_with_meaning_and_names_differ() {
        let document = document();
        let mut operations = BTreeSet::new();
        for route in ROUTES {
            assert!(operations.insert(route.operation), "{}", route.operation);
            assert!(!route.summary.is_empty(), "{}", route.path);
            let method = route.verb.word().to_lowercase();
            let told = &document["paths"][route.path][method];
            assert_eq!(told["operationId"], route.operation);
            for status in route.answers() {
                assert!(!meaning(status).is_empty(), "{status}");
                assert!(told["responses"][status.to_string()].is_object());
            }
            assert_eq!(told["requestBody"].is_object(), route.body.is_some());
            assert_eq!(told.get("security").is_some(), route.role.is_none());
        }
    }
}
