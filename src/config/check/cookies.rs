//! Sealing keys and cookie names.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::super::file::site::{CookieNames as WrittenNames, Site as Written};
use super::super::secret_source::SecretSource;
use super::super::settings::SealingKeyBytes;
use super::super::spans::At;
use super::Review;
use crate::model::cookie_names::{CookieNames, EXPIRY_COOKIE, ID_TOKEN_COOKIE};
use crate::model::origin::Scheme;

/// Fewer different bytes than this in 32 are no chance: random ones have about 30.
const FEWEST_BYTES: usize = 12;
const MAKE_ONE: &str = "make one with `openssl rand -base64 32`";

pub(super) fn sealing_keys(
    written: &[At<SecretSource>],
    review: &mut Review<'_>,
) -> Option<Vec<SealingKeyBytes>> {
    let mut keys: Vec<SealingKeyBytes> = Vec::new();
    for source in written {
        let Some(secret) = review.secret(source) else {
            continue;
        };
        let Some(bytes) = decode(secret.expose().trim_ascii()) else {
            review.refuse(
                &source.span,
                "a cookie key is not 32 bytes in base64",
                MAKE_ONE,
            );
            continue;
        };
        let key = SealingKeyBytes(bytes);
        if bytes.iter().collect::<BTreeSet<_>>().len() < FEWEST_BYTES {
            review.warn(&source.span, "a cookie key can be guessed", MAKE_ONE);
        }
        if keys.contains(&key) {
            review.refuse(
                &source.span,
                "a cookie key is there twice",
                "keep one of them",
            );
        } else {
            keys.push(key);
        }
    }
    (keys.len() == written.len()).then_some(keys)
}

fn decode(text: &str) -> Option<[u8; 32]> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
        .and_then(|bytes| bytes.try_into().ok())
}

/// The cookie names of a site; on https they are `__Host-` names.
pub(super) fn names(
    written: &Written,
    scheme: Scheme,
    review: &mut Review<'_>,
) -> Option<CookieNames> {
    let hosted = written.hosted_backend.is_some();
    let written = &written.cookies;
    let mut names = if hosted {
        CookieNames::for_hosted_backend(scheme)
    } else {
        CookieNames::defaults(scheme)
    };
    let mut fits = true;
    let slots = [
        (&written.access, &mut names.access),
        (&written.refresh, &mut names.refresh),
        (&written.session, &mut names.session),
        (&written.form, &mut names.form),
        (&written.device, &mut names.device),
        (&written.owner, &mut names.owner),
    ];
    for (at, (written, slot)) in slots.into_iter().enumerate() {
        let Some(written) = written else { continue };
        // The SDKs read the first two under names of their own.
        if hosted && at < 2 {
            review.refuse_text(
                written,
                "a hosted backend has this cookie's name fixed",
                "leave it out",
            );
            fits = false;
            continue;
        }
        fits &= name(written, scheme, review);
        slot.clone_from(written);
    }
    fits &= are_distinct(written, &names, review);
    fits.then_some(names)
}

/// Whether no written name, nor a chunk of its value, could be taken for another cookie of the
/// site.
fn are_distinct(written: &WrittenNames, names: &CookieNames, review: &mut Review<'_>) -> bool {
    let all = [
        (&names.access, &written.access),
        (&names.refresh, &written.refresh),
        (&names.session, &written.session),
        (&names.form, &written.form),
        (&names.device, &written.device),
        (&names.owner, &written.owner),
    ];
    let fixed = if names.hosted_backend {
        &[EXPIRY_COOKIE, ID_TOKEN_COOKIE][..]
    } else {
        &[]
    };
    let mut distinct = true;
    for (at, (name, text)) in all.iter().enumerate() {
        let Some(text) = text else { continue };
        let clash = all
            .iter()
            .enumerate()
            .any(|(other_at, (other, _))| other_at != at && is_chunk_of(name, other))
            || fixed.contains(&name.as_str());
        if clash {
            review.refuse_text(
                text,
                "two cookies of this site share a name",
                "give each a name of its own",
            );
            distinct = false;
        }
    }
    distinct
}

fn name(written: &At<String>, scheme: Scheme, review: &mut Review<'_>) -> bool {
    let secure = scheme == Scheme::Https;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if written.is_empty() || written.len() > 100 || !written.bytes().all(token) {
        review.refuse_text(
            written,
            "a cookie cannot have this name",
            "use letters, digits, `-` and `_`",
        );
        return false;
    }
    let lower = written.to_ascii_lowercase();
    if secure && !written.starts_with("__Host-") {
        let hint = format!(
            "write \"__Host-{}\": else other hosts of the domain can set it",
            **written
        );
        review.refuse_text(written, "a cookie of an https site lacks `__Host-`", hint);
        return false;
    }
    if !secure && (lower.starts_with("__host-") || lower.starts_with("__secure-")) {
        let hint = "leave the prefix out: browsers take it on https only";
        review.refuse_text(
            written,
            "a cookie of an http site cannot have this prefix",
            hint,
        );
        return false;
    }
    true
}

/// Whether `name` is `other`, or one of the chunks `other.0`, `other.1` of a long value.
fn is_chunk_of(name: &str, other: &str) -> bool {
    match name.strip_prefix(other) {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix('.')
            .is_some_and(|chunk| !chunk.is_empty() && chunk.bytes().all(|b| b.is_ascii_digit())),
        None => false,
    }
}
