//! Tokens like those of a user pool or another OpenID Connect issuer. The signing key lives as long as
//! the process.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Map, Value, json};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "chat";
const LIFETIME_SECONDS: u64 = 12 * 60 * 60;

/// Makes tokens and checks them.
pub struct Issuer {
    private: EncodingKey,
    public: DecodingKey,
}

impl Issuer {
    /// An issuer with a new key.
    pub fn new() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key =
            EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| "no key could be made")?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random)
            .map_err(|_| "no key could be made")?;
        Ok(Self {
            private: EncodingKey::from_ec_der(key.as_ref()),
            public: DecodingKey::from_ec_der(pair.public_key().as_ref()),
        })
    }

    /// A token for the user with this `sub`.
    pub fn token(&self, sub: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "sub": sub,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
        });
        Ok(encode(
            &Header::new(Algorithm::ES256),
            &claims,
            &self.private,
        )?)
    }

    /// The claims of a token, if its signature, expiry, issuer and audience are valid.
    pub fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        Some(decode(token, &self.public, &validation).ok()?.claims)
    }
}
