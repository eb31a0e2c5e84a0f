//! Pages for people, written from the OpenAPI document and the catalogue: one file, no script, nothing from elsewhere.

use neofn_types::{CodeInfo, Retry};
use serde_json::Value;
use std::fmt::Write as _;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.7rem}h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}h3{margin:2rem 0 .3rem;font:600 1rem ui-monospace,monospace}\
code,pre{font:.9em ui-monospace,monospace;background:#f3f4f6;border-radius:4px;padding:.1em .3em}pre{padding:.8em;overflow:auto}\
table{border-collapse:collapse;width:100%;margin:.5rem 0}td,th{text-align:left;vertical-align:top;border-top:1px solid #e5e7eb;padding:.3rem .6rem .3rem 0}\
.m{display:inline-block;min-width:4.2em;color:#0b5b3c}a{color:#0a58ca}small{color:#57606a}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}code,pre{background:#161b22}h2,td,th{border-color:#30363d}.m{color:#5bd69b}a{color:#6cb0ff}small{color:#9198a1}}";

/// The reference of the API.
pub(crate) fn reference(document: &Value) -> String {
    let mut body = String::with_capacity(64 << 10);
    let info = &document["info"];
    let _ = write!(
        body,
        "<h1>{} <small>{}</small></h1><p>{}</p><p><a href=\"/openapi.json\">OpenAPI document</a></p><p>Send <code>Authorization: Bearer nfk_…</code>; public functions need none. \
         Requests under <code>/f/{{project}}/{{function}}/…</code> reach a function as an HTTP request and are answered by its <code>{{statusCode, headers, body}}</code>.</p>",
        escape(text(&info["title"])),
        escape(text(&info["version"])),
        prose(text(&info["description"])),
    );
    for tag in list(&document["tags"]) {
        let name = text(&tag["name"]);
        let _ = write!(
            body,
            "<h2 id=\"{0}\">{0}</h2><p>{1}</p>",
            escape(name),
            prose(text(&tag["description"]))
        );
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in members(item) {
                if list(&operation["tags"]).any(|t| text(t) == name) {
                    operation_section(&mut body, method, path, operation);
                }
            }
        }
    }
    body.push_str("<h2 id=\"shapes\">shapes</h2>");
    for (name, schema) in members(at(document, "/components/schemas")) {
        shape(&mut body, name, schema);
    }
    page("neofn API", &body)
}

/// A code of the catalogue.
pub(crate) fn error(info: &CodeInfo) -> String {
    let again = match info.retry {
        Retry::Never => "Trying the same thing again fails the same way.",
        Retry::Later => "Trying again later can help; asynchronous invocations do so by themselves.",
    };
    let body = format!(
        "<p><a href=\"/docs\">API</a></p><h1><code>{}</code> {}</h1><h2>Why</h2><p>{}</p><h2>What to do</h2><p>{}</p><p>{again} Status {}.</p>",
        escape(info.code),
        escape(info.title),
        prose(info.cause),
        prose(info.cure),
        info.status,
    );
    page(info.code, &body)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>\n",
        escape(title)
    )
}

fn operation_section(out: &mut String, method: &str, path: &str, operation: &Value) {
    let _ = write!(
        out,
        "<h3><span class=\"m\">{}</span> {}</h3><p>{}</p>",
        escape(&method.to_uppercase()),
        escape(path),
        prose(text(&operation["summary"])),
    );
    let mut rows = String::new();
    for p in list(&operation["parameters"]).filter(|p| text(&p["in"]) != "path") {
        row(
            &mut rows,
            text(&p["name"]),
            text(&p["in"]),
            &prose(text(&p["description"])),
        );
    }
    for (_, media) in members(at(operation, "/requestBody/content")).take(1) {
        let what = format!(
            "{} {}",
            kind(&media["schema"]),
            prose(text(at(operation, "/requestBody/description")))
        );
        row(&mut rows, "body", "", &what);
    }
    for (status, answer) in members(&operation["responses"]) {
        let shape = members(&answer["content"])
            .next()
            .map(|(_, m)| kind(&m["schema"]))
            .unwrap_or_default();
        let status = if status == "default" { "else" } else { status };
        row(
            &mut rows,
            status,
            "",
            &format!("{shape} {}", prose(text(&answer["description"]))),
        );
    }
    let _ = write!(out, "<table>{rows}</table>");
}

fn shape(out: &mut String, name: &str, schema: &Value) {
    let _ = write!(
        out,
        "<h3 id=\"{0}\">{0}</h3><p>{1}</p>",
        escape(name),
        prose(text(&schema["description"]))
    );
    let mut rows = String::new();
    let required: Vec<&str> = list(&schema["required"]).map(text).collect();
    for (member, of) in members(&schema["properties"]) {
        let need = if required.contains(&member) {
            ""
        } else {
            "optional"
        };
        row(
            &mut rows,
            member,
            need,
            &format!("{} {}", kind(of), prose(text(&of["description"]))),
        );
    }
    let _ = write!(out, "<table>{rows}</table>");
}

fn row(out: &mut String, name: &str, note: &str, html: &str) {
    let _ = write!(
        out,
        "<tr><td><code>{}</code></td><td><small>{}</small></td><td>{html}</td></tr>",
        escape(name),
        escape(note)
    );
}

/// A schema in a few words, with a link when it has a name. HTML.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escape(name));
    }
    for any in ["oneOf", "anyOf", "allOf"] {
        let parts: Vec<String> = list(&schema[any])
            .filter(|s| text(&s["type"]) != "null")
            .map(kind)
            .collect();
        if !parts.is_empty() {
            return parts.join(" or ");
        }
    }
    let base = match &schema["type"] {
        Value::Array(types) => types
            .iter()
            .map(text)
            .filter(|t| *t != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        other => text(other).to_owned(),
    };
    match base.as_str() {
        "array" => format!("list of {}", kind(&schema["items"])),
        "" => String::new(),
        _ => format!("<small>{}</small>", escape(&base)),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.as_str(), v))
}

/// Escaped, with `code` between backticks.
fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (i, part) in escape(text).split('`').enumerate() {
        if i % 2 == 1 {
            let _ = write!(out, "<code>{part}</code>");
        } else {
            out.push_str(part);
        }
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_document_is_markup() {
        assert_eq!(prose("a <b> `c&d`"), "a &lt;b&gt; <code>c&amp;d</code>");
    }

    #[test]
    fn every_path_and_shape_is_on_the_page_and_every_link_lands() {
        let document = crate::openapi::document();
        let html = reference(document);
        for (path, _) in members(&document["paths"]) {
            assert!(html.contains(&escape(path)), "{path}");
        }
        for link in html.split("href=\"#").skip(1) {
            let name = link.split('"').next().unwrap();
            assert!(html.contains(&format!("id=\"{name}\"")), "{name}");
        }
    }
}
