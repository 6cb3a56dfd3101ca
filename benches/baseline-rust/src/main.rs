//! The same work, as most would write it first.

use aws_sdk_chimesdkmessaging::Client;
use lambda_http::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn, tracing};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let template = std::env::var("APP_INSTANCE_USER_ARN")?;
    let config = aws_config::load_from_env().await;
    let client = Client::new(&config);
    run(service_fn(|request| {
        respond_to(&client, &template, request)
    }))
    .await
}

async fn respond_to(
    client: &Client,
    template: &str,
    request: Request,
) -> Result<Response<Body>, Error> {
    let Some(sub) = subject(&request) else {
        return respond(401, &json!({"error": "unauthenticated"}));
    };
    let query = request.query_string_parameters();
    let (Some(channel), Some(message)) = (query.first("channelArn"), query.first("messageId"))
    else {
        return respond(
            400,
            &json!({"error": "channelArn and messageId are required"}),
        );
    };
    let output = client
        .get_channel_message_status()
        .chime_bearer(template.replace("{sub}", &sub))
        .channel_arn(channel)
        .message_id(message)
        .send()
        .await?;
    let status = output.status().and_then(|status| status.value());
    let status = status.map(|value| value.as_str());
    tracing::info!(status, "responded");
    respond(200, &json!({"messageId": message, "status": status}))
}

fn subject(request: &Request) -> Option<String> {
    match request.request_context() {
        RequestContext::ApiGatewayV2(context) => {
            context.authorizer?.jwt?.claims.get("sub").cloned()
        }
        _ => None,
    }
}

fn respond(status: u16, body: &serde_json::Value) -> Result<Response<Body>, Error> {
    Ok(Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .header(CACHE_CONTROL, "no-store")
        .body(body.to_string().into())?)
}
