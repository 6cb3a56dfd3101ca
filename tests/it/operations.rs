//! The table of operations agrees with `openapi.yaml`, with the routes of every template, and with the
//! IAM actions of the function's role.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use chime_message_status::api::routes::ROUTES;
use serde_json::{Map, Value};

use crate::templates::read;

const FUNCTION_TYPE: &str = "AWS::Serverless::Function";

/// Paths with their methods.
type Routes = BTreeSet<(String, String)>;

/// A file of this repository, as JSON.
pub fn yaml(file: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(&file);
    read(&text.unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

/// The members of an object. Empty for any other value.
pub fn members(value: &Value) -> &Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

/// The SAM and CloudFormation templates, by file name.
fn templates() -> Vec<(String, Value)> {
    let mut files = Vec::new();
    for folder in ["", "deploy", "deploy/snippets"] {
        let absolute = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(absolute).into_iter().flatten();
        files.extend(entries.map(|entry| {
            let name = entry.expect("a file").file_name();
            Path::new(folder).join(name).display().to_string()
        }));
    }
    files
        .into_iter()
        .filter(|file| file.ends_with(".yaml"))
        .map(|file| (yaml(&file), file))
        .filter(|(json, _)| json["Resources"].is_object())
        .map(|(json, file)| (file, json))
        .collect()
}

/// The templates that deploy the function.
fn function_templates() -> Vec<(String, Value)> {
    let mut templates = templates();
    templates.retain(|(_, json)| resources(json, FUNCTION_TYPE).any(is_our_function));
    assert!(templates.len() > 1, "{} templates", templates.len());
    templates
}

fn resources<'t>(template: &'t Value, kind: &str) -> impl Iterator<Item = &'t Value> {
    members(&template["Resources"])
        .values()
        .filter(move |resource| resource["Type"] == kind)
        .map(|resource| &resource["Properties"])
}

fn is_our_function(function: &Value) -> bool {
    function["Runtime"] == "provided.al2023"
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn table() -> Routes {
    let routes = ROUTES.iter().flat_map(|route| {
        let methods = route.methods.iter();
        methods.map(|method| (route.path.to_owned(), (*method).to_owned()))
    });
    routes.collect()
}

/// The paths and methods of an OpenAPI document. A preflight belongs to CORS and not to an operation.
fn document_routes(document: &Value) -> Routes {
    let paths = members(&document["paths"]).iter();
    let routes = paths.flat_map(|(path, methods)| {
        let methods = members(methods).keys();
        methods.map(|method| (path.clone(), method.to_uppercase()))
    });
    routes.filter(is_operation).collect()
}

fn is_operation((_, method): &(String, String)) -> bool {
    method != "OPTIONS"
}

#[test]
fn the_table_has_each_path_and_method_once() {
    let rows: usize = ROUTES.iter().map(|route| route.methods.len()).sum();
    assert_eq!(table().len(), rows);
    let names: BTreeSet<_> = ROUTES.iter().map(|route| route.name).collect();
    assert_eq!(names.len(), ROUTES.len());
}

#[test]
fn the_openapi_document_has_exactly_the_operations_of_the_table() {
    let document = yaml("openapi.yaml");
    assert_eq!(document_routes(&document), table());
    for (path, methods) in members(&document["paths"]) {
        assert!(methods["options"].is_object(), "{path} has no preflight");
    }
}

#[test]
fn the_allow_header_of_the_openapi_document_lists_the_methods_of_each_path() {
    let document = yaml("openapi.yaml");
    let values = document["components"]["headers"]["allow"]["schema"]["enum"].as_array();
    let values: BTreeSet<String> = values.expect("values").iter().map(text).collect();
    let paths: BTreeSet<&str> = ROUTES.iter().map(|route| route.path).collect();
    let expected = paths.into_iter().flat_map(|path| {
        let routes = ROUTES.iter().filter(|route| route.path == path);
        let methods: Vec<_> = routes.flat_map(|route| route.methods).copied().collect();
        let methods = methods.join(", ");
        [format!("{methods}, OPTIONS"), methods]
    });
    assert_eq!(values, expected.collect());
}

#[test]
fn the_events_of_every_template_have_exactly_the_operations_of_the_table() {
    for (file, template) in function_templates() {
        let functions = resources(&template, FUNCTION_TYPE).filter(|f| is_our_function(f));
        let events = functions.flat_map(|function| members(&function["Events"]).values());
        let routes = events.map(|event| {
            let properties = &event["Properties"];
            (text(&properties["Path"]), text(&properties["Method"]))
        });
        let routes: Routes = routes.filter(is_operation).collect();
        assert_eq!(routes, table(), "{file}");
    }
}

#[test]
fn the_api_of_every_template_has_exactly_the_operations_of_the_table() {
    for (file, template) in function_templates() {
        let apis = ["AWS::Serverless::HttpApi", "AWS::Serverless::Api"];
        let apis: Vec<_> = apis
            .into_iter()
            .flat_map(|kind| resources(&template, kind))
            .collect();
        assert_eq!(apis.len(), 1, "{file}");
        for api in apis {
            assert_eq!(document_routes(&api["DefinitionBody"]), table(), "{file}");
        }
    }
}

#[test]
fn routes_for_an_existing_api_have_exactly_the_operations_of_the_table() {
    for (file, template) in templates() {
        let http_api: Routes = resources(&template, "AWS::ApiGatewayV2::Route")
            .map(|route| {
                let key = text(&route["RouteKey"]);
                let (method, path) = key.split_once(' ').expect("a method and a path");
                (path.to_owned(), method.to_owned())
            })
            .collect();
        let rest_api: Routes = resources(&template, "AWS::ApiGateway::Method")
            .map(|method| {
                let resource = text(&method["ResourceId"]["Ref"]);
                let path = text(&template["Resources"][resource]["Properties"]["PathPart"]);
                (format!("/{path}"), text(&method["HttpMethod"]))
            })
            .filter(is_operation)
            .collect();
        for routes in [http_api, rest_api] {
            assert!(routes.is_empty() || routes == table(), "{file}: {routes:?}");
        }
    }
}

#[test]
fn the_role_of_every_template_has_exactly_the_iam_actions_of_the_table() {
    let needed: BTreeSet<String> = ROUTES
        .iter()
        .map(|route| route.iam_action.to_owned())
        .collect();
    for (file, template) in function_templates() {
        let role = &template["Resources"]["FunctionRole"]["Properties"];
        let mut statements = Vec::new();
        add_chime_statements(&role["Policies"], &mut statements);
        assert!(!statements.is_empty(), "{file}");
        for actions in statements {
            assert_eq!(actions, needed, "{file}");
        }
    }
}

/// Adds the actions of each policy statement about Chime.
fn add_chime_statements(value: &Value, found: &mut Vec<BTreeSet<String>>) {
    let actions: BTreeSet<String> = match &value["Action"] {
        Value::String(action) => BTreeSet::from([action.clone()]),
        Value::Array(actions) => actions.iter().map(text).collect(),
        _ => BTreeSet::new(),
    };
    if actions.iter().any(|action| action.starts_with("chime:")) {
        found.push(actions);
    }
    match value {
        Value::Object(members) => members
            .values()
            .for_each(|value| add_chime_statements(value, found)),
        Value::Array(items) => items
            .iter()
            .for_each(|value| add_chime_statements(value, found)),
        _ => {}
    }
}

#[test]
fn the_permissions_of_every_template_cover_the_paths_of_the_table() {
    let expected: BTreeSet<&str> = ROUTES.iter().map(|route| route.path).collect();
    for (file, template) in templates() {
        for methods in ["/*/*", "/*/OPTIONS"] {
            let permissions = resources(&template, "AWS::Lambda::Permission");
            let arns =
                permissions.filter_map(|permission| permission["SourceArn"]["Fn::Sub"].as_str());
            let paths = arns.filter_map(|arn| Some(arn.split_once(methods)?.1));
            let paths: BTreeSet<&str> = paths.collect();
            // If a template has no permissions, SAM makes them from the events of the function.
            assert!(paths.is_empty() || paths == expected, "{file}: {paths:?}");
        }
    }
}
