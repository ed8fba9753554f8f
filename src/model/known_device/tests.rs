use super::*;

fn keys() -> SealingKeys {
    SealingKeys::new(&[[1; 32]]).unwrap()
}

fn hashes(number: u8) -> [AccountHash; 1] {
    [AccountHash([number; 16])]
}

fn given(second: u64) -> TrustGiven {
    TrustGiven {
        user: "u1".into(),
        at: Timestamp::from_secs(second),
    }
}

fn trust_id<'a>(device: &'a KnownDevice, hashes: &[AccountHash]) -> Option<&'a str> {
    device.trust(hashes).map(|trust| trust.id.expose())
}

#[test]
fn a_device_opens_for_its_own_site_only() {
    let mut device = KnownDevice::new(DeviceId([9; 16]));
    device.record_login(&hashes(1), Some(Secret::new("t")), given(1));
    assert!(
        !device
            .seal(&keys(), "store", [7; 12])
            .unwrap()
            .is_persistent()
    );
    device.persist();
    let sealed = device.seal(&keys(), "store", [7; 12]).unwrap();
    assert!(sealed.is_persistent());
    assert_eq!(
        KnownDevice::open(&keys(), "store", sealed.as_str()),
        Some(device.clone())
    );
    assert_eq!(KnownDevice::open(&keys(), "forum", sealed.as_str()), None);
    assert_eq!(
        KnownDevice::open(
            &SealingKeys::new(&[[2; 32]]).unwrap(),
            "store",
            sealed.as_str()
        ),
        None
    );
    let rotated = SealingKeys::new(&[[2; 32], [1; 32]]).unwrap();
    assert_eq!(
        KnownDevice::open(&rotated, "store", sealed.as_str()),
        Some(device)
    );
    for junk in ["", "AAAA", "no base64!", &"A".repeat(9000)] {
        assert_eq!(KnownDevice::open(&keys(), "store", junk), None);
    }
}

#[test]
fn a_ninth_account_replaces_the_least_recent_one() {
    let mut device = KnownDevice::new(DeviceId([9; 16]));
    for number in 0..8 {
        device.record_login(
            &hashes(number),
            Some(Secret::new(format!("t{number}"))),
            given(1),
        );
    }
    // A new login makes the account the most recent, and keeps its trust id.
    device.record_login(&hashes(0), None, given(1));
    device.record_login(&hashes(8), None, given(1));
    assert!(!device.knows(&hashes(1)));
    assert_eq!(trust_id(&device, &hashes(0)), Some("t0"));
    assert_eq!(
        (device.knows(&hashes(8)), trust_id(&device, &hashes(8))),
        (true, None)
    );
    device.clear_trust(&hashes(0));
    assert_eq!(
        (device.knows(&hashes(0)), trust_id(&device, &hashes(0))),
        (true, None)
    );
}

#[test]
fn a_full_device_fits_into_one_cookie() {
    let mut device = KnownDevice::new(DeviceId([9; 16]));
    for number in 0..20 {
        device.record_login(
            &hashes(number),
            Some(Secret::new("\u{e9}".repeat(MAX_TRUST_ID / 2))),
            TrustGiven {
                user: "u".repeat(MAX_TRUSTING_USER),
                at: Timestamp::from_millis(9_999_999_999_999),
            },
        );
    }
    let sealed = device.seal(&keys(), "store", [7; 12]).unwrap();
    assert!(
        sealed.as_str().len() <= MAX_CHUNK,
        "{}",
        sealed.as_str().len()
    );
    assert_eq!(
        KnownDevice::open(&keys(), "store", sealed.as_str()),
        Some(device.clone())
    );
    device.record_login(
        &hashes(1),
        Some(Secret::new("x".repeat(MAX_TRUST_ID + 1))),
        given(1),
    );
    assert_eq!(
        (device.knows(&hashes(1)), trust_id(&device, &hashes(1))),
        (true, None),
        "a trust id that is too long is not stored"
    );
}

#[test]
fn an_account_is_known_by_its_hash_under_an_older_key() {
    let mut device = KnownDevice::new(DeviceId([9; 16]));
    let (old, new) = (AccountHash([1; 16]), AccountHash([2; 16]));
    device.record_login(&[old], Some(Secret::new("t")), given(1));
    assert!(device.knows(&[new, old]));
    device.record_login(&[new, old], None, given(2));
    assert_eq!(device.accounts.len(), 1, "stored under the new key");
    assert_eq!(trust_id(&device, &[new]), Some("t"));
}

#[test]
fn a_trust_is_of_whoever_gave_it_when_it_was_given() {
    let mut device = KnownDevice::new(DeviceId([9; 16]));
    device.record_login(&hashes(1), Some(Secret::new("t")), given(1));
    device.record_login(&hashes(1), None, given(2));
    let reopened = |device: &KnownDevice| {
        let sealed = device.seal(&keys(), "store", [7; 12]).unwrap();
        KnownDevice::open(&keys(), "store", sealed.as_str()).unwrap()
    };
    let given_at = |device: &KnownDevice| {
        let trust = device.trust(&hashes(1)).unwrap();
        trust.given.as_ref().unwrap().at.secs()
    };
    assert_eq!(given_at(&reopened(&device)), 1);
    device.record_login(&hashes(1), Some(Secret::new("t2")), given(3));
    assert_eq!(given_at(&reopened(&device)), 3);
    let long = TrustGiven {
        user: "u".repeat(MAX_TRUSTING_USER + 1),
        ..given(4)
    };
    device.record_login(&hashes(1), Some(Secret::new("t3")), long);
    assert_eq!(trust_id(&device, &hashes(1)), None);
}

/// `{"i":…,"a":[{"h":…,"t":"t"}]}`, as earlier versions sealed it.
#[test]
fn a_trust_of_an_earlier_version_belongs_to_the_next_login() {
    let bytes = URL_SAFE_NO_PAD.encode([1; 16]);
    let inside = format!(r#"{{"i":"{bytes}","a":[{{"h":"{bytes}","t":"t"}}]}}"#);
    let sealed = keys().seal(&seal_purpose("store"), inside.into_bytes(), [7; 12]);
    let text = URL_SAFE_NO_PAD.encode(sealed.unwrap());
    let mut device = KnownDevice::open(&keys(), "store", &text).unwrap();
    let trust = device.trust(&hashes(1)).unwrap();
    assert!(trust.id.expose() == "t" && trust.given.is_none());
    device.record_login(&hashes(1), None, given(2));
    assert!(device.trust(&hashes(1)).unwrap().given == Some(given(2)));
}

#[test]
fn debug_prints_no_account_and_no_trust_id() {
    let mut device = KnownDevice::new(DeviceId([9; 16]));
    device.record_login(&hashes(1), Some(Secret::new("leaky")), given(1));
    let sealed = device.seal(&keys(), "store", [7; 12]).unwrap();
    assert_eq!(
        format!("{device:?} {sealed:?} {:?}", hashes(1)),
        "KnownDevice(1 accounts) SealedDevice [AccountHash]"
    );
}
