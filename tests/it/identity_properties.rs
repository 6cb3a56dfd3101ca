//! Property: the bearer is the caller, or Chime is not called. In the generated events, Mallory writes to
//! every place that a client can write, and the authorizer sends invalid values.

use std::cell::Cell;

use fakes::oracle::{SESSION_ROLE, TRUSTED_SESSIONS, authorized};
use fancy_regex::Regex;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use crate::support::{ALICE, APP_INSTANCE, TestEnv, as_post, sample, user, user_pattern};

/// Part of every value that does not come from the authorizer, and of no value that does.
const MALLORY: &str = "mallory";

/// A sample event, the name in the pattern, and the place of its value.
struct SourceCase {
    event: &'static str,
    name: &'static str,
    /// The path of the value, with dots.
    path: &'static str,
    /// Text that precedes the value of the authorizer.
    prefix: &'static str,
}

const fn case(event: &'static str, name: &'static str, path: &'static str) -> SourceCase {
    SourceCase {
        event,
        name,
        path,
        prefix: "",
    }
}

const SOURCES: [SourceCase; 9] = [
    case("http-api-jwt", "sub", "authorizer.jwt.claims.sub"),
    case("http-api-lambda-authorizer", "sub", "authorizer.lambda.sub"),
    case(
        "http-api-iam",
        "cognitoIdentityId",
        "authorizer.iam.cognitoIdentity.identityId",
    ),
    SourceCase {
        prefix: TRUSTED_SESSIONS,
        ..case(
            "function-url-iam",
            "roleSessionName",
            "authorizer.iam.userArn",
        )
    },
    case("rest-api-cognito", "sub", "authorizer.claims.sub"),
    case("rest-api-jwt", "sub", "authorizer.claims.sub"),
    case(
        "rest-api-lambda-authorizer",
        "principalId",
        "authorizer.principalId",
    ),
    case(
        "rest-api-iam",
        "cognitoIdentityId",
        "identity.cognitoIdentityId",
    ),
    case("http-api-format-1.0-jwt", "sub", "authorizer.claims.sub"),
];

impl SourceCase {
    /// The steps from the event to the value.
    fn steps(&self) -> Vec<&'static str> {
        let steps = self.path.split('.');
        std::iter::once("requestContext").chain(steps).collect()
    }
}

/// The members of the object at a path, if it is one.
fn members<'v>(value: &'v mut Value, path: &[&str]) -> Option<&'v mut Map<String, Value>> {
    let mut value = value;
    for step in path {
        value = value.get_mut(step)?;
    }
    value.as_object_mut()
}

/// A mutation of an event.
#[derive(Clone, Debug)]
enum Mutation {
    /// Replaces the value of the authorizer.
    AuthorizerValue(Value),
    /// Adds a name that looks like one of the path, with Mallory's value.
    SimilarName { depth: Index, how: Index },
    /// Adds another authorizer or a second context, with Mallory's value.
    SecondContext(Index),
    /// Adds a name with Mallory's ARN to a place that clients can write.
    ClientInput { place: Index, name: Index },
}

/// Values of an authorizer: valid ones, and others that a lenient parser would accept or repair.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?".prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
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
            json!(1e3), json!(-1), json!(format!("{ALICE} ")), json!(format!("{ALICE}\u{200b}")), json!("_a"), json!("a-"),
            json!("\u{ff41}lice"), json!("\u{430}lice"), json!("alice\u{301}"), json!("a/user/b"), json!("a/../b"),
            json!("a%2fb"), json!("a,b"), json!("{sub}"), json!("a\r\nx-amz-chime-bearer: b"), json!(user(ALICE)),
            json!(format!("b:{APP_INSTANCE}/user/c")), json!("a".repeat(100_000)), json!("CognitoIdentityCredentials"),
        ]),
    ]
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    prop_oneof![
        3 => any_value().prop_map(Mutation::AuthorizerValue),
        2 => (index(), index()).prop_map(|(depth, how)| Mutation::SimilarName { depth, how }),
        2 => index().prop_map(Mutation::SecondContext),
        6 => (index(), index()).prop_map(|(place, name)| Mutation::ClientInput { place, name }),
    ]
}

/// Nested objects along a path, with Mallory's name at the end.
fn mallorys(path: &[&str]) -> Value {
    path.iter()
        .rev()
        .fold(json!(MALLORY), |inner, name| json!({ *name: inner }))
}

fn apply(mutation: &Mutation, event: &mut Value, source: &SourceCase) {
    let steps = source.steps();
    match mutation {
        Mutation::AuthorizerValue(value) => {
            let (name, parents) = steps.split_last().expect("a path");
            let value = match value {
                Value::String(text) => json!(format!("{}{text}", source.prefix)),
                value => value.clone(),
            };
            if let Some(members) = members(event, parents) {
                members.insert((*name).to_owned(), value);
            }
        }
        Mutation::SimilarName { depth, how } => {
            let depth = depth.index(steps.len());
            let name = steps[depth];
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
                && let Some(members) = members(event, &steps[..depth])
            {
                members.insert(similar.clone(), mallorys(&steps[depth + 1..]));
            }
        }
        Mutation::SecondContext(which) => {
            let contexts: [&[&str]; 7] = [
                &["authorizer", "jwt", "claims", source.name],
                &["authorizer", "lambda", source.name],
                &["authorizer", "iam", "cognitoIdentity", "identityId"],
                &["authorizer", "claims", source.name],
                &["authorizer", source.name],
                &["identity", source.name],
                &["identity", "userArn"],
            ];
            let context = contexts[which.index(contexts.len())];
            for depth in 1..=context.len() {
                let parent = [&["requestContext"], &context[..depth - 1]].concat();
                let name = context[depth - 1];
                if let Some(members) = members(event, &parent)
                    && members.get(name).is_none_or(Value::is_null)
                {
                    members.insert(name.to_owned(), mallorys(&context[depth..]));
                }
            }
        }
        Mutation::ClientInput { place, name } => add_client_input(event, source, place, name),
    }
}

fn add_client_input(event: &mut Value, source: &SourceCase, place: &Index, name: &Index) {
    let names = [
        source.name,
        "sub",
        "x-amz-chime-bearer",
        "chimeBearer",
        "authorization",
        "x-amzn-oidc-identity",
        "principalId",
        "claims",
        "authorizer",
    ];
    let name = names[name.index(names.len())];
    // The last one is the event itself: a member that gateways never send.
    let places = [
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "cookies",
        "body",
        "",
    ];
    let place = places[place.index(places.len())];
    let value = match name {
        "claims" | "authorizer" => mallorys(&["jwt", "claims", source.name]),
        _ if place.starts_with("multi") => json!([user(MALLORY)]),
        _ => json!(user(MALLORY)),
    };
    let addition = json!({ name: value });
    match place {
        "" => event[name] = addition[name].clone(),
        "body" => event["body"] = addition.to_string().into(),
        "cookies" => event["cookies"] = json!([format!("{name}={MALLORY}")]),
        _ => match &mut event[place] {
            Value::Object(members) => {
                members.insert(name.to_owned(), addition[name].clone());
            }
            other => *other = addition,
        },
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
    for source in &SOURCES {
        let pattern = user_pattern(source.name);
        let env = TestEnv::with(&[
            ("APP_INSTANCE_USER_ARN", pattern.as_str()),
            ("SESSION_ROLE_ARN", SESSION_ROLE),
            ("MAX_WAIT_SECONDS", "0"),
        ])
        .await;
        let get = sample(source.event);
        for base in [get.clone(), as_post(get)] {
            let called = Cell::new(0_u32);
            tokio::task::block_in_place(|| {
                let env = &env;
                TestRunner::new(ProptestConfig {
                    cases: cases(),
                    failure_persistence: None,
                    ..ProptestConfig::default()
                })
                .run(&prop::collection::vec(any_mutation(), 0..5), |mutations| {
                    let mut event = base.clone();
                    for mutation in &mutations {
                        apply(mutation, &mut event, source);
                    }
                    env.chime.forget_calls();
                    let reply = handle.block_on(env.send(&event));
                    let expected = authorized(&event, source.name).map(|id| user(&id));
                    let expected = expected.filter(|arn| legal.is_match(arn).expect("a match"));
                    let is_refused = [401, 403].contains(&reply.status);
                    prop_assert_eq!(is_refused, expected.is_none(), "{}: {:?}", event, reply);
                    for call in &env.calls() {
                        prop_assert_eq!(&call.bearer, &expected);
                        let bearer = call.bearer.as_deref().unwrap_or_default();
                        // In a whole context of Mallory's, her name is the caller's.
                        let is_hers = expected.as_deref() == Some(&user(MALLORY));
                        prop_assert!(is_hers || !bearer.contains(MALLORY), "{}", bearer);
                    }
                    called.set(called.get() + u32::from(!env.calls().is_empty()));
                    Ok(())
                })
                .unwrap_or_else(|error| panic!("{}: {error}", source.event));
            });
            // Otherwise the property would hold only because every event is rejected.
            assert!(called.get() > cases() / 10, "{}: {called:?}", source.event);
        }
    }
}
