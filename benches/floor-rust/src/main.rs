//! A lower limit, not a way to write a function: it accepts only what the benchmark sends, and ends on
//! every error. It has no retries, no timeouts and no validation.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;

use ring::{digest, hmac};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use time::UtcDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

const DATE: StaticFormatDescription =
    format_description!("[year][month][day]T[hour][minute][second]Z");

type Outcome<T> = Result<T, Box<dyn Error>>;
type Chime = BufReader<StreamOwned<ClientConnection, TcpStream>>;

fn main() -> Outcome<()> {
    let runtime_api = variable("AWS_LAMBDA_RUNTIME_API")?;
    let mut runtime = BufReader::new(TcpStream::connect(&runtime_api)?);
    runtime.get_ref().set_nodelay(true)?;
    let signer = Signer::from_environment()?;
    let mut chime = connect(&signer.host)?;
    let base = "/2018-06-01/runtime/invocation";
    loop {
        let next = format!("GET {base}/next HTTP/1.1\r\nhost: {runtime_api}\r\n\r\n");
        runtime.get_mut().write_all(next.as_bytes())?;
        let (head, event) = receive(&mut runtime)?;
        let id = header(&head, "lambda-runtime-aws-request-id").ok_or("no id")?;
        let invocation = header(&head, "lambda-runtime-invocation-id").unwrap_or_default();
        let body = respond(&signer, &mut chime, &event)?;
        let response = format!(
            "POST {base}/{id}/response HTTP/1.1\r\nhost: {runtime_api}\r\n\
             lambda-runtime-invocation-id: {invocation}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        runtime.get_mut().write_all(response.as_bytes())?;
        receive(&mut runtime)?;
    }
}

fn respond(signer: &Signer, chime: &mut Chime, event: &[u8]) -> Outcome<String> {
    let event: Value = serde_json::from_slice(event)?;
    let sub = &event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"];
    let query = &event["queryStringParameters"];
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or("a string is missing")
    };
    let (sub, channel) = (text(sub)?, text(&query["channelArn"])?);
    let message = text(&query["messageId"])?;
    let request = signer.request(&channel, &message, &sub)?;
    chime.get_mut().write_all(request.as_bytes())?;
    let (head, body) = receive(chime)?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(head.into());
    }
    let body: Value = serde_json::from_slice(&body)?;
    let status = text(&body["Status"]["Value"])?;
    println!(
        "{}",
        json!({"level": "INFO", "message": "responded", "status": status})
    );
    let body = json!({"messageId": message, "status": status}).to_string();
    let headers = json!({"content-type": "application/json", "cache-control": "no-store"});
    Ok(json!({"statusCode": 200, "headers": headers, "body": body}).to_string())
}

/// Reads a head, and a body with a content length.
fn receive(connection: &mut impl BufRead) -> Outcome<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head)? == 0 {
            return Err("the connection ended".into());
        }
    }
    let length = header(&head, "content-length").unwrap_or("0").parse()?;
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok((head, body))
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn connect(host: &str) -> Outcome<Chime> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(variable("SSL_CERT_FILE")?)?;
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = ServerName::try_from(name.to_owned())?;
    let tcp = TcpStream::connect(host)?;
    tcp.set_nodelay(true)?;
    let tls = ClientConnection::new(Arc::new(config), name)?;
    Ok(BufReader::new(StreamOwned::new(tls, tcp)))
}

/// Signature Version 4 for this one request.
struct Signer {
    host: String,
    pattern: String,
    access_key: String,
    secret_key: String,
    token: String,
    region: String,
}

impl Signer {
    fn from_environment() -> Outcome<Self> {
        let endpoint = variable("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING")?;
        let host = endpoint
            .trim_start_matches("https://")
            .trim_end_matches('/');
        Ok(Self {
            host: host.to_owned(),
            pattern: variable("APP_INSTANCE_USER_ARN")?,
            access_key: variable("AWS_ACCESS_KEY_ID")?,
            secret_key: variable("AWS_SECRET_ACCESS_KEY")?,
            token: variable("AWS_SESSION_TOKEN")?,
            region: variable("AWS_REGION").or_else(|_| variable("AWS_DEFAULT_REGION"))?,
        })
    }

    fn request(&self, channel: &str, message: &str, sub: &str) -> Outcome<String> {
        let bearer = self.pattern.replace("{sub}", sub);
        let date = UtcDateTime::now().format(DATE)?;
        let day = &date[..8];
        let path = format!("/channels/{}/messages/{message}", encode(channel));
        let canonical = format!(
            "GET\n{}\nscope=message-status\nhost:{}\nx-amz-chime-bearer:{bearer}\nx-amz-date:{date}\n\
             x-amz-security-token:{}\n\nhost;x-amz-chime-bearer;x-amz-date;x-amz-security-token\n{}",
            path.replace('%', "%25"),
            self.host,
            self.token,
            sha256(b"")
        );
        let scope = format!("{day}/{}/chime/aws4_request", self.region);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            sha256(canonical.as_bytes())
        );
        let mut key = format!("AWS4{}", self.secret_key).into_bytes();
        for part in [day, &self.region, "chime", "aws4_request"] {
            key = sign(&key, part);
        }
        let signature = hex(&sign(&key, &to_sign));
        Ok(format!(
            "GET {path}?scope=message-status HTTP/1.1\r\nhost: {}\r\nx-amz-chime-bearer: {bearer}\r\n\
             x-amz-date: {date}\r\nx-amz-security-token: {}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential={}/{scope}, SignedHeaders=host;x-amz-chime-bearer;x-amz-date;\
             x-amz-security-token, Signature={signature}\r\n\r\n",
            self.host, self.token, self.access_key
        ))
    }
}

fn variable(name: &str) -> Outcome<String> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
        .as_ref()
        .to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(text: &str) -> String {
    text.replace(':', "%3A").replace('/', "%2F")
}
