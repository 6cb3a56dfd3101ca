//! The parameters of the templates: described, grouped, and as strict as the function.

use std::collections::BTreeSet;

use super::{all, keys, one_or_many, start_failure_with, text};
use crate::support::{APP_INSTANCE, user_pattern};

/// Whether a parameter's pattern accepts `value`. CloudFormation matches the whole value, with
/// Java's regular expressions, look-ahead included.
pub fn matches(pattern: &str, value: &str) -> bool {
    let whole = format!("^(?:{pattern})$");
    let regex = fancy_regex::Regex::new(&whole).expect("a regular expression");
    regex.is_match(value).expect("an end")
}

#[test]
fn every_parameter_is_described_grouped_and_checked() {
    for template in all() {
        let groups =
            &template.json["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"];
        let groups = groups.as_array().expect("groups").iter();
        let mut shown: Vec<_> = groups
            .flat_map(|group| one_or_many(&group["Parameters"]))
            .map(text)
            .collect();
        shown.sort_unstable();
        let declared: Vec<_> = keys(&template.json["Parameters"]).collect();
        assert_eq!(shown, declared, "{}: in groups", template.file);
        for (name, parameter) in template.section("Parameters") {
            let described = parameter["Description"]
                .as_str()
                .is_some_and(|text| text.ends_with('.') || text.contains("://"));
            assert!(described, "{}: {name}", template.file);
            if parameter["AllowedValues"].is_array() {
                continue;
            }
            assert!(
                parameter["ConstraintDescription"].is_string(),
                "{}: {name}",
                template.file
            );
            let pattern = text(&parameter["AllowedPattern"]);
            if let Some(default) = parameter["Default"].as_str() {
                assert!(matches(pattern, default), "{}: {name}", template.file);
            }
        }
    }
}

/// Values that a parameter accepts and values that it refuses.
const SAMPLES: [(&str, &[&str], &[&str]); 12] = [
    (
        "AppInstanceArn",
        &[
            APP_INSTANCE,
            "arn:aws:chime:eu-central-1:111122223333:app-instance/a",
        ],
        &[
            "",
            "7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21",
            "arn:aws:chime:us-east-1:111122223333:app-instance/",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/alice",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/{sub}",
            "arn:aws:chime:us-east-1:111122223333:app-instance/{tenant}",
            "arn:aws:chime:us-east-1:111122223333:app-instance/*",
            "arn:aws:chime:us-west-2:111122223333:app-instance/7f1c",
            "arn:aws-us-gov:chime:us-east-1:111122223333:app-instance/7f1c",
            "arn:aws:chime:us-east-1:11112222333:app-instance/7f1c",
            "arn:aws:iam::111122223333:role/chat",
            " arn:aws:chime:us-east-1:111122223333:app-instance/7f1c",
        ],
    ),
    (
        "UserIdClaim",
        &["sub", "custom:chatUserId", "https://example.com/chat-user"],
        &["", "{sub}", "sub}/x{y", "a b", "sub,email", "${sub}"],
    ),
    (
        "AppInstanceUserArn",
        &[
            "",
            "{custom:appInstanceUserArn}",
            "arn:aws:chime:us-east-1:111122223333:app-instance/{custom:tenant}/user/{sub}",
            "arn:aws:chime:eu-central-1:111122223333:app-instance/7f1c/user/{cognitoIdentityId}",
        ],
        &[
            "{}",
            "{a}{b}",
            "sub",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c",
            "arn:aws:chime:us-west-2:111122223333:app-instance/7f1c/user/{sub}",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/bot/{sub}",
        ],
    ),
    (
        "FurtherAppInstanceArns",
        &[
            "",
            APP_INSTANCE,
            "arn:aws:chime:us-east-1:111122223333:app-instance/*",
        ],
        &[
            "*",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/*",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7*",
            "arn:aws:chime:*:111122223333:app-instance/7f1c",
        ],
    ),
    (
        "SessionRoleArn",
        &[
            "",
            "arn:aws:iam::111122223333:role/chat-user",
            "arn:aws:iam::111122223333:role/apps/chat-user",
        ],
        &[
            "chat-user",
            "arn:aws:iam::111122223333:user/alice",
            "arn:aws:sts::111122223333:assumed-role/chat-user/alice",
            "arn:aws:iam::111122223333:role/*",
        ],
    ),
    (
        "ChimeCallsPerSecond",
        &["", "1", "50"],
        &["0", "51", "2.5", "-1"],
    ),
    (
        "PermissionsBoundaryArn",
        &[
            "",
            "arn:aws:iam::111122223333:policy/boundary",
            "arn:aws:iam::aws:policy/PowerUserAccess",
        ],
        &["boundary", "arn:aws:iam::111122223333:role/boundary"],
    ),
    (
        "Issuer",
        &[
            "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Xy7PqR2sT",
            "https://tenant.eu.auth0.com/",
            "https://login.example.com:8443/realms/chat",
        ],
        &[
            "",
            "http://login.example.com",
            "login.example.com",
            "https://",
            "https://login.example.com?tenant=1",
            "https://login.example.com/#a",
            "https://login.example.com/ ",
        ],
    ),
    (
        "UserPoolArn",
        &["arn:aws:cognito-idp:us-east-1:111122223333:userpool/us-east-1_Xy7PqR2sT"],
        &[
            "",
            "us-east-1_Xy7PqR2sT",
            "arn:aws:cognito-idp:us-east-1:111122223333:userpool/",
        ],
    ),
    (
        "AllowedOrigins",
        &[
            "",
            "*",
            "https://chat.example.com",
            "http://localhost:5173",
            "https://a.example:8080",
        ],
        &[
            "null",
            "https://chat.example.com/",
            "https://Chat.example.com",
            "https://*.example.com",
            "https://chat.example.com:443",
            "http://localhost:80",
            "chat.example.com",
        ],
    ),
    (
        "AlarmTopicArn",
        &["", "arn:aws:sns:us-east-1:111122223333:on-call"],
        &[
            "on-call",
            "arn:aws:sqs:us-east-1:111122223333:on-call",
            "arn:aws:sns:us-east-1:111122223333:a:b",
        ],
    ),
    ("StageName", &["Prod", "v1"], &["", "a/b", "$default"]),
];

#[test]
fn the_patterns_accept_right_values_and_refuse_wrong_ones() {
    let mut checked = BTreeSet::new();
    for template in all() {
        for (name, good, bad) in SAMPLES {
            let Some(pattern) = template.parameter(name)["AllowedPattern"].as_str() else {
                continue;
            };
            checked.insert(name);
            let file = template.file;
            for sample in good {
                assert!(matches(pattern, sample), "{file}: {name}: {sample}");
            }
            for sample in bad {
                assert!(!matches(pattern, sample), "{file}: {name}: {sample}");
            }
        }
    }
    assert_eq!(checked.len(), SAMPLES.len());
}

#[tokio::test]
async fn the_function_accepts_what_the_patterns_accept() {
    for (name, good, _) in SAMPLES {
        for sample in good {
            let (variable, value) = match name {
                "AppInstanceArn" => ("APP_INSTANCE_USER_ARN", format!("{sample}/user/{{sub}}")),
                "AppInstanceUserArn" if !sample.is_empty() => {
                    ("APP_INSTANCE_USER_ARN", (*sample).to_owned())
                }
                "UserIdClaim" => ("APP_INSTANCE_USER_ARN", user_pattern(sample)),
                "AllowedOrigins" => ("ALLOWED_ORIGINS", (*sample).to_owned()),
                _ => continue,
            };
            assert_eq!(
                start_failure_with(variable, &value).await,
                None,
                "{name}: {sample}"
            );
        }
    }
}
