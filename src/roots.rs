//! Whom a connection trusts: root certificates, read from a PEM file ([RFC 7468]).
//!
//! [RFC 7468]: https://www.rfc-editor.org/rfc/rfc7468

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

use aws_smithy_types::base64;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// Where macOS has its file, which `openssl-probe` does not know.
const OF_MACOS: &str = "/etc/ssl/cert.pem";

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Why a file has nobody in it to trust.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RootsError {
    /// It is not PEM.
    NotPem,
    /// It is, and no certificate in it can anchor trust.
    Empty,
}

impl fmt::Display for RootsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotPem => "it is no PEM file",
            Self::Empty => "it has no usable certificate",
        })
    }
}

impl std::error::Error for RootsError {}

/// The roots that the system keeps, wherever it keeps them. The file has them all, so the folder
/// beside it, with one file for each, is not read, too. What in it is broken is left out.
pub(crate) fn of_the_system(file: impl Fn(&Path) -> io::Result<Vec<u8>>) -> RootCertStore {
    let path = openssl_probe::probe()
        .cert_file
        .unwrap_or_else(|| OF_MACOS.into());
    // A system without any can still ask over http://; over https:// every call says what is missing.
    let pem = file(&path).unwrap_or_default();
    store(certificates(&text(&pem)).flatten())
}

/// Reads a PEM file. A bundle may have certificates that cannot anchor trust, as old systems' have;
/// one that has no other is an error.
pub(crate) fn parse(pem: &[u8]) -> Result<RootCertStore, RootsError> {
    let all = certificates(&text(pem)).collect::<Result<Vec<_>, _>>()?;
    let roots = store(all.into_iter());
    match roots.is_empty() {
        true => Err(RootsError::Empty),
        false => Ok(roots),
    }
}

/// Between the certificates stands what people write, in whatever encoding.
fn text(pem: &[u8]) -> Cow<'_, str> {
    // Asked first, because it is fifteen times as quick.
    match std::str::from_utf8(pem) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(pem),
    }
}

fn store(certificates: impl Iterator<Item = CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    roots
}

/// The sections of a PEM file that are certificates. Written out, because the TLS library's own
/// reader takes a fifth of a cold start for a system's 140.
fn certificates(
    text: &str,
) -> impl Iterator<Item = Result<CertificateDer<'static>, RootsError>> + '_ {
    text.split(BEGIN).skip(1).map(|section| {
        let (body, _) = section.split_once(END).ok_or(RootsError::NotPem)?;
        let lines: String = body.lines().map(str::trim).collect();
        let der = base64::decode(lines).map_err(|_| RootsError::NotPem)?;
        Ok(der.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_bundle_without_a_usable_certificate_is_a_fault() {
        for pem in ["", "text", NONE] {
            assert_eq!(
                parse(pem.as_bytes()).err(),
                Some(RootsError::Empty),
                "{pem:?}"
            );
        }
    }

    #[test]
    fn a_bundle_that_is_cut_off_or_garbled_is_a_fault() {
        let cut_off = NONE.replace("END", "");
        let garbled = NONE.replace("AAAA", "A*A=");
        for pem in [cut_off, garbled] {
            assert_eq!(
                parse(pem.as_bytes()).err(),
                Some(RootsError::NotPem),
                "{pem:?}"
            );
        }
    }
}
