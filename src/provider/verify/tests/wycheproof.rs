//! The vectors of Project Wycheproof.

use super::*;

/// The vectors carry no claims, so they are about form, header and signature.
#[test]
fn wycheproof() {
    #[derive(serde::Deserialize)]
    struct Group {
        key: Value,
        tests: Vec<Vector>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Vector {
        tc_id: u32,
        jws: String,
        result: String,
    }
    /// Good signatures that are refused on purpose: empty payloads; a key whose `alg` is another or
    /// no algorithm; characters outside base64url.
    const REFUSED: &[u32] = &[259, 264, 268, 272, 320, 325, 346, 347, 350, 351, 372, 373];

    /// Called invalid for their padding, which the file has lost: byte for byte the valid vector
    /// 357.
    const SPOILT: &[u32] = &[367, 370];

    let groups: Vec<Group> = serde_json::from_str(include_str!(
        "../../../../tests/data/wycheproof_json_web_signature.json"
    ))
    .unwrap();
    let mut taken = 0;
    for Group { key, tests } in groups {
        let set = match key["k"].as_str() {
            Some(secret) => {
                KeySet::from_hmac_secret(&URL_SAFE_NO_PAD.decode(secret).unwrap(), Algorithm::ALL)
            }
            None => KeySet::from_jwks(
                json!({ "keys": [key] }).to_string().as_bytes(),
                Algorithm::ALL,
            ),
        };
        for Vector { tc_id, jws, result } in tests {
            let good = set
                .as_ref()
                .is_ok_and(|set| signed_payload(&jws, set, any_algorithm()).is_ok());
            let expected =
                (result == "valid" && !REFUSED.contains(&tc_id)) || SPOILT.contains(&tc_id);
            assert_eq!(good, expected, "vector {tc_id}: {result}");
            taken += usize::from(good);
        }
    }
    assert!(taken >= 30, "{taken}");
}
