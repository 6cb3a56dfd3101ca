//! Property: the bearer is the caller, or Chime is not called. In the generated events, Mallory writes to
//! every place that a client can write, and the authorizer sends invalid values.

use std::cell::Cell;

use chime_message_status::api::routes::ROUTES;
use fakes::oracle::{SESSION_ROLE, TRUSTED_SESSIONS, authorized};
use fancy_regex::Regex;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{ALICE, APP_INSTANCE, TestEnv, at_route, sample, user, user_pattern};

/// Part of every value that does not come from the authorizer, and of no value that does.
const MALLORY: &str = "mallory";

/// A sample event, the name in the pattern, and the path of its value.
struct SourceCase {
    event: &'static str,
    name: &'static str,
    path: &'static [&'static str],
    /// Text that precedes the value of the authorizer.
    prefix: &'static str,
}

const SOURCES: [SourceCase; 8] = [
    SourceCase {
        event: "http-api-jwt",
        name: "sub",
        path: &["requestContext", "authorizer", "jwt", "claims", "sub"],
        prefix: "",
    },
    SourceCase {
        event: "http-api-lambda-authorizer",
        name: "sub",
        path: &["requestContext", "authorizer", "lambda", "sub"],
        prefix: "",
    },
    SourceCase {
        event: "http-api-iam",
        name: "cognitoIdentityId",
        path: &[
            "requestContext",
            "authorizer",
            "iam",
            "cognitoIdentity",
            "identityId",
        ],
        prefix: "",
    },
    SourceCase {
        event: "function-url-iam",
        name: "roleSessionName",
        path: &["requestContext", "authorizer", "iam", "userArn"],
        prefix: TRUSTED_SESSIONS,
    },
    SourceCase {
        event: "rest-api-cognito",
        name: "sub",
        path: &["requestContext", "authorizer", "claims", "sub"],
        prefix: "",
    },
    SourceCase {
        event: "rest-api-lambda-authorizer",
        name: "principalId",
        path: &["requestContext", "authorizer", "principalId"],
        prefix: "",
    },
    SourceCase {
        event: "rest-api-iam",
        name: "cognitoIdentityId",
        path: &["requestContext", "identity", "cognitoIdentityId"],
        prefix: "",
    },
    SourceCase {
        event: "http-api-format-1.0-jwt",
        name: "sub",
        path: &["requestContext", "authorizer", "claims", "sub"],
        prefix: "",
    },
];

/// JSON in which a name can occur twice, and can be written with escapes.
#[derive(Clone, Debug)]
enum Node {
    Leaf(String),
    Object(Vec<(String, Node)>),
}

impl Node {
    fn of(value: &Value) -> Self {
        match value {
            Value::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(name, value)| (json!(name).to_string(), Self::of(value)))
                    .collect(),
            ),
            leaf => Self::Leaf(leaf.to_string()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Leaf(text) => text.clone(),
            Self::Object(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("{name}:{}", value.text()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    /// Whether a name on a path occurs twice, with or without escapes.
    fn is_ambiguous(&self, path: &[&str]) -> bool {
        let (Self::Object(members), Some((step, rest))) = (self, path.split_first()) else {
            return false;
        };
        let spelling = [json!(step).to_string(), escaped(step)];
        let mut found = members.iter().filter(|(name, _)| spelling.contains(name));
        let value = found.next();
        found.next().is_some() || value.is_some_and(|(_, value)| value.is_ambiguous(rest))
    }

    /// The members of the object at a path.
    fn at(&mut self, path: &[&str]) -> Option<&mut Vec<(String, Node)>> {
        let Self::Object(members) = self else {
            return None;
        };
        let Some((step, rest)) = path.split_first() else {
            return Some(members);
        };
        let step = json!(step).to_string();
        let (_, member) = members.iter_mut().find(|(name, _)| *name == step)?;
        member.at(rest)
    }
}

/// The same name in JSON, written with an escape.
fn escaped(name: &str) -> String {
    let first = name.chars().next().map_or(0, u32::from);
    format!("\"\\u{first:04x}{}\"", name.get(1..).unwrap_or_default())
}

/// A mutation of an event.
#[derive(Clone, Debug)]
enum Mutation {
    /// Replaces the value of the authorizer.
    AuthorizerValue(Value),
    /// Repeats the name at this depth of the path, with Mallory's value.
    DuplicateName {
        depth: prop::sample::Index,
        is_escaped: bool,
        first: bool,
    },
    /// Adds a name that looks like one of the path, with Mallory's value.
    SimilarName {
        depth: prop::sample::Index,
        how: prop::sample::Index,
    },
    /// Adds a name with Mallory's ARN to a place that clients can write.
    ClientInput(prop::sample::Index, prop::sample::Index),
}

/// Values of an authorizer: valid ones, and others that a lenient parser would accept or repair.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?".prop_map(Value::from),
        2 => any::<u64>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        2 => "\\PC{0,80}".prop_map(Value::from),
        1 => (0..0x20u32, 0..3usize).prop_map(|(control, place)| {
            let control = char::from_u32(control).expect("a control character");
            let mut text = String::from("ab");
            text.insert(place.min(2), control);
            text.into()
        }),
        1 => (60..200usize).prop_map(|length| "a".repeat(length).into()),
        2 => prop::sample::select(vec![
            json!(null), json!(true), json!([]), json!({}), json!(""), json!(" "), json!([ALICE]), json!({"sub": ALICE}),
            json!(1.5), json!(1e3), json!(-1), json!(format!("{ALICE} ")), json!(format!("{ALICE}\u{200b}")),
            json!("\u{ff41}lice"), json!("\u{430}lice"), json!("alice\u{301}"), json!("a/user/b"), json!("a/../b"),
            json!("a%2fb"), json!("a,b"), json!("{sub}"), json!("a\r\nx-amz-chime-bearer: b"), json!(user(ALICE)),
            json!(format!("b:{APP_INSTANCE}/user/c")), json!("a".repeat(100_000)),
        ]),
    ]
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        3 => any_value().prop_map(Mutation::AuthorizerValue),
        1 => (any::<prop::sample::Index>(), any::<bool>(), any::<bool>())
            .prop_map(|(depth, is_escaped, first)| Mutation::DuplicateName { depth, is_escaped, first }),
        2 => (any::<prop::sample::Index>(), any::<prop::sample::Index>())
            .prop_map(|(depth, how)| Mutation::SimilarName { depth, how }),
        6 => (any::<prop::sample::Index>(), any::<prop::sample::Index>())
            .prop_map(|(place, what)| Mutation::ClientInput(place, what)),
    ]
}

/// Nested objects along a path, with Mallory's name at the end.
fn mallory_claims(path: &[&str]) -> Node {
    path.iter()
        .rev()
        .fold(Node::Leaf(json!(MALLORY).to_string()), |inner, name| {
            Node::Object(vec![(json!(name).to_string(), inner)])
        })
}

fn apply(mutation: &Mutation, event: &mut Node, source: &SourceCase) {
    let split = |depth: &prop::sample::Index| {
        let depth = depth.index(source.path.len());
        (
            &source.path[..depth],
            source.path[depth],
            &source.path[depth + 1..],
        )
    };
    match mutation {
        Mutation::AuthorizerValue(value) => {
            let (name, parents) = source.path.split_last().expect("a path");
            let name = json!(name).to_string();
            if let Some(members) = event.at(parents) {
                members.retain(|(known, _)| *known != name);
                let value = match value {
                    Value::String(text) => json!(format!("{}{text}", source.prefix)),
                    value => value.clone(),
                };
                members.push((name, Node::Leaf(value.to_string())));
            }
        }
        Mutation::DuplicateName {
            depth,
            is_escaped,
            first,
        } => {
            let (parents, name, rest) = split(depth);
            let spelling = if *is_escaped {
                escaped(name)
            } else {
                json!(name).to_string()
            };
            if let Some(members) = event.at(parents) {
                let place = if *first { 0 } else { members.len() };
                members.insert(place, (spelling, mallory_claims(rest)));
            }
        }
        Mutation::SimilarName { depth, how } => {
            let (parents, name, rest) = split(depth);
            let (head, tail) = name.split_at(1);
            let similar = [
                name.to_uppercase(),
                format!("{}{tail}", head.to_uppercase()),
                format!("{name} "),
                format!("{name}\u{200b}"),
                format!("{name}\0"),
                name.replace('u', "\u{fc}"),
            ];
            let similar = &similar[how.index(similar.len())];
            if similar != name
                && let Some(members) = event.at(parents)
            {
                members.insert(0, (json!(similar).to_string(), mallory_claims(rest)));
            }
        }
        Mutation::ClientInput(place, what) => {
            let names = [
                source.name,
                "sub",
                "x-amz-chime-bearer",
                "X-Amz-Chime-Bearer",
                "chimeBearer",
                "authorization",
                "x-amzn-oidc-identity",
                "principalId",
                "cookie",
                "claims",
                "authorizer",
            ];
            let name = names[what.index(names.len())];
            let places: [&[&str]; 9] = [
                &["headers"],
                &["multiValueHeaders"],
                &["queryStringParameters"],
                &["multiValueQueryStringParameters"],
                &["pathParameters"],
                &["stageVariables"],
                &["cookies"],
                &["body"],
                &[],
            ];
            let place = places[place.index(places.len())];
            // At the top of an event: a member that gateways never send.
            let value = match (place.first(), name) {
                (_, "claims" | "authorizer") => mallory_claims(&["jwt", "claims", source.name]),
                (Some(place), _) if place.starts_with("multi") => {
                    Node::Leaf(json!([user(MALLORY)]).to_string())
                }
                _ => Node::Leaf(json!(user(MALLORY)).to_string()),
            };
            match (event.at(place), place) {
                (Some(members), _) => members.push((json!(name).to_string(), value)),
                (None, [member]) => {
                    let member = json!(member).to_string();
                    if let Some(members) = event.at(&[]) {
                        members.retain(|(known, _)| *known != member);
                        let written = Node::Object(vec![(json!(name).to_string(), value)]).text();
                        let written = match member.as_str() {
                            "\"body\"" => json!(written).to_string(),
                            "\"cookies\"" => json!([format!("{name}={MALLORY}")]).to_string(),
                            _ => written,
                        };
                        members.push((member, Node::Leaf(written)));
                    }
                }
                _ => {}
            }
        }
    }
}

/// The number of events for each event source and operation. `ROBUSTNESS_CASES` sets another number.
fn cases() -> u32 {
    std::env::var("ROBUSTNESS_CASES").map_or(250, |cases| cases.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bearer_is_what_the_oracle_reads_or_chime_is_not_called() {
    let handle = tokio::runtime::Handle::current();
    let id = r"[A-Za-z0-9]([A-Za-z0-9:\-_.@]{0,62}[A-Za-z0-9])?";
    let legal = Regex::new(&format!(r"\A{}\z", user(id))).expect("a pattern");
    for (source, route) in SOURCES
        .iter()
        .flat_map(|source| ROUTES.iter().map(move |route| (source, route)))
    {
        let pattern = user_pattern(source.name);
        let env = TestEnv::with(&[
            ("APP_INSTANCE_USER_ARN", pattern.as_str()),
            ("SESSION_ROLE_ARN", SESSION_ROLE),
            ("MAX_WAIT_SECONDS", "0"),
        ])
        .await;
        let base = at_route(sample(source.event), route);
        let called = Cell::new(0_u32);
        tokio::task::block_in_place(|| {
            let env = &env;
            TestRunner::new(ProptestConfig {
                cases: cases(),
                failure_persistence: None,
                ..ProptestConfig::default()
            })
            .run(&prop::collection::vec(any_mutation(), 0..5), |mutations| {
                let mut event = Node::of(&base);
                for mutation in &mutations {
                    apply(mutation, &mut event, source);
                }
                let text = event.text();
                env.chime.forget_calls();
                let reply = handle.block_on(env.send_bytes(text.clone()));
                let calls = env.calls();
                prop_assert!(
                    calls.is_empty() || !event.is_ambiguous(source.path),
                    "{text}: {reply:?}"
                );
                let expected: Option<Value> = serde_json::from_str(&text).ok();
                let expected = expected.and_then(|event| authorized(&event, source.name));
                for call in &calls {
                    prop_assert_eq!(&call.bearer, &expected.as_deref().map(user));
                    let bearer = call.bearer.as_deref().unwrap_or_default();
                    prop_assert!(!bearer.contains(MALLORY), "{bearer}");
                    prop_assert!(legal.is_match(bearer).expect("a match"), "{bearer}");
                }
                called.set(called.get() + u32::from(!calls.is_empty()));
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{} {}: {error}", source.event, route.name));
        });
        // Otherwise the property would hold only because every event is rejected.
        assert!(
            called.get() > cases() / 10,
            "{} {}: {called:?}",
            source.event,
            route.name
        );
    }
}
