//! Users files, and the problems that are reported.

use std::fs;

use super::*;
use crate::embedded::password_policy::PasswordPolicy;

const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$Zm9vYmFyZm9vYmFyZm9vYg";

#[test]
fn the_reference_file_has_no_problems() {
    let users = parse(include_str!("../../../config/users.toml")).unwrap();
    let ada = users.by_login("ada").unwrap();
    assert_eq!(ada.email, "ada@example.com");
    assert_eq!(
        ada.roles_in("3c219e58-ed0e-4b18-ad48-f4f92793ae32"),
        ["staff", "admin"]
    );
    assert_eq!(
        ada.roles_in("85a03867-dccf-4882-adde-1a79aeec50df"),
        ["staff"]
    );
    let two_factor = ada.two_factor.as_ref().unwrap();
    let methods: Vec<_> = two_factor
        .methods()
        .map(|method| (method.id, method.address))
        .collect();
    assert_eq!(
        methods,
        [
            ("TOTP", ""),
            ("EMAIL", "ada@example.com"),
            ("SMS", "+1 555 555 5512")
        ]
    );
    assert_eq!(
        (users.password_policy, users.outbox.as_deref()),
        (PasswordPolicy::default(), Some(Path::new("outbox")))
    );
    assert_eq!(users.all().count(), 2);
    assert_eq!(users.token_policy, TokenPolicy::default());
}

#[test]
fn what_no_header_can_carry_is_refused() {
    let problem = |email: &str, roles: &str| {
        let roles = format!("roles = {{ \"*\" = {roles} }}");
        let text = format!("[[users]]\nemail = {email:?}\npassword = \"{HASH}\"\n{roles}\n");
        let problems = parse(&text).err().unwrap_or_default();
        problems.into_iter().map(|it| it.line).collect::<Vec<_>>()
    };
    assert!(problem("a@example.com", "[\"one role\"]").is_empty());
    for roles in ["[\"\"]", "[\"ok\", \"a\\nb\"]", "[\" a\"]", "[\"\\u0007\"]"] {
        assert_eq!(problem("a@example.com", roles), [4], "{roles}");
    }
    for email in ["x y@example.com", "x@exa mple.com", "@example.com"] {
        assert_eq!(problem(email, "[]"), [2], "{email}");
    }
}

#[test]
fn every_problem_is_reported_with_its_position() {
    let text = format!(
        "grace = \"soon\"\n[[users]]\nid = \"7\"\nemail = \"ada\"\npassword = \"secret\"\n\
         [[users]]\nemail = \"b@example.com\"\npassword = \"{HASH}\"\n  two_factor = {{ totp = \"AAAA\" }}\n\
         [[users]]\nemail = \"c@example.com\"\npassword = \"{HASH}\"\n\
         [[users]]\nemail = \"C@example.com\"\nid = \"3c219e58-ed0e-4b18-ad48-f4f92793ae32\"\npassword = \"{HASH}\"\n"
    );
    let positions: Vec<(usize, usize, String)> = parse(&text)
        .unwrap_err()
        .into_iter()
        .map(|problem| (problem.line, problem.column, problem.message))
        .collect();
    let found: Vec<(usize, usize)> = positions
        .iter()
        .map(|(line, column, _)| (*line, *column))
        .collect();
    assert_eq!(
        found,
        [(1, 9), (3, 6), (4, 9), (5, 12), (9, 25), (14, 9)],
        "{positions:?}"
    );
    assert!(
        positions
            .iter()
            .all(|(_, _, message)| !message.contains("secret\"")),
        "{positions:?}"
    );
    assert!(
        positions[5].2.starts_with("c@example.com already belongs"),
        "{positions:?}"
    );
}

#[test]
fn a_second_factor_needs_a_usable_method() {
    let user = format!("[[users]]\nemail = \"a@example.com\"\npassword = \"{HASH}\"\n");
    for (two_factor, problem) in [
        ("{ }", "no method to get a code"),
        (
            "{ recovery_codes = [\"0123456789\"] }",
            "no method to get a code",
        ),
        (
            "{ email = \"a@example.com\" }",
            "codes cannot be sent: there is no outbox",
        ),
        (
            "{ sms = \"+1 555 5512\" }",
            "codes cannot be sent: there is no outbox",
        ),
        ("{ totp = \"AAAA\" }", "not a base32 secret"),
    ] {
        let problems = parse(&format!("{user}two_factor = {two_factor}\n")).unwrap_err();
        assert_eq!(
            (problems.len(), problems[0].line),
            (1, 4),
            "{two_factor}: {problems:?}"
        );
        assert!(
            problems[0].message.starts_with(problem),
            "{two_factor}: {problems:?}"
        );
    }
    for two_factor in [
        "{ email = \"nobody\" }",
        "{ sms = \"110\" }",
        "{ sms = \"+1 555 \\n5512\" }",
    ] {
        let text = format!("outbox = \"out\"\n{user}two_factor = {two_factor}\n");
        assert_eq!(parse(&text).unwrap_err().len(), 1, "{two_factor}");
    }
    let users = parse(&format!(
        "outbox = \"out\"\n{user}two_factor = {{ sms = \"+1 555 5512\" }}\n"
    ))
    .unwrap();
    assert_eq!(
        users
            .by_login("a@example.com")
            .unwrap()
            .two_factor
            .as_ref()
            .unwrap()
            .methods()
            .count(),
        1
    );
}

#[test]
fn the_password_policy_is_read() {
    let policy = parse("[password]\nmin_length = 12\nrequire_number = true\n")
        .unwrap()
        .password_policy;
    assert_eq!(
        policy,
        PasswordPolicy {
            min_length: 12,
            require_number: true,
            ..PasswordPolicy::default()
        }
    );
    for text in [
        "[password]\nmin_length = 3\n",
        "[password]\nmin_length = 300\n",
        "[password]\nmin_length = -1\n",
    ] {
        assert_eq!(parse(text).unwrap_err()[0].line, 2, "{text}");
    }
}

#[test]
fn the_outbox_is_relative_to_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.toml");
    fs::write(&file, "outbox = \"out\"\n").unwrap();
    assert_eq!(
        load(&file).unwrap().outbox,
        Some(directory.path().join("out"))
    );
}

#[test]
fn unknown_keys_are_errors() {
    for text in [
        "colour = 1\n",
        "[[users]]\nemail = \"a@b\"\npassword = \"x\"\nadmin = true\n",
    ] {
        let problems = parse(text).unwrap_err();
        assert!(
            problems[0].message.contains("unknown field"),
            "{problems:?}"
        );
    }
    assert_eq!(parse("\n  colour = 1\n").unwrap_err()[0].line, 2);
}

#[test]
fn a_misplaced_secret_is_not_reported() {
    let text =
        format!("[[users]]\nemail = \"a@b\"\npassword = \"{HASH}\"\ntwo_factor = \"GEZDGNBV\"\n");
    let problems = parse(&text).unwrap_err();
    assert_eq!(
        (problems[0].line, problems[0].column),
        (4, 14),
        "{problems:?}"
    );
    assert!(
        problems[0].message.starts_with("wrong type, expected"),
        "{problems:?}"
    );
    assert!(!problems[0].message.contains("GEZDGNBV"), "{problems:?}");
}

#[test]
fn a_missing_file_is_a_problem_of_that_file() {
    let error = load(Path::new("/nonexistent/users.toml")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("/nonexistent/users.toml:1:1: cannot be read"),
        "{error}"
    );
}
