//! The bodies of calls to the JSON endpoints.
//!
//! They are read strictly: an unknown, missing, repeated or wrongly typed member refuses the body,
//! so that no two programs read it differently.

use serde_json::{Map, Value};

use super::secret::Secret;
use super::strict_json;

/// A posted JSON object. An empty body counts as an object without members. `Debug` prints the
/// number of members alone: they may hold a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiRequestBody(Map<String, Value>);

/// The body of `POST /api/login`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRequest {
    /// The login name, as typed.
    pub login_id: String,
    /// The password, byte for byte as typed.
    pub password: Secret,
    /// Whether the cookies shall outlive the browser session; by default they shall.
    pub remember: bool,
    /// How the tokens are delivered; by default in cookies.
    pub token_delivery: TokenDelivery,
}

/// How a client gets its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenDelivery {
    /// In cookies, which no script can read.
    Cookie,
    /// In the response body, for clients that are not browsers.
    Body,
}

/// The body of `POST /api/refresh` and `POST /api/logout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The sealed refresh token of a client that is not a browser.
    pub refresh_token: Option<Secret>,
}

/// The body of `POST /api/login/two-factor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoFactorRequest {
    /// The sealed challenge of the pending login.
    pub challenge: Secret,
    /// The code, as typed.
    pub code: Secret,
    /// Whether the provider shall not ask for a code again on this device for a while; by default
    /// it shall.
    pub trust_device: bool,
}

/// The body of `POST /api/login/two-factor/send`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendCodeRequest {
    /// The sealed challenge of the pending login.
    pub challenge: Secret,
    /// The sealed choice of a method.
    pub choice: Secret,
}

/// The body of `POST /api/login/password`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPasswordRequest {
    /// The sealed challenge of the pending login.
    pub challenge: Secret,
    /// The password, byte for byte as typed.
    pub password: Secret,
}

impl ApiRequestBody {
    /// Reads a body; `None` for anything but one JSON object in which no member occurs twice.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        if body.is_empty() {
            Some(Self::default())
        } else {
            strict_json::object(body).map(Self)
        }
    }

    /// The body as a login; `None` where a member is missing, unknown or of another type.
    #[must_use]
    pub fn login(&self) -> Option<LoginRequest> {
        self.has_only(&["loginId", "password", "remember", "tokens"])?;
        Some(LoginRequest {
            login_id: self.0.get("loginId")?.as_str()?.to_owned(),
            password: Secret::new(self.0.get("password")?.as_str()?),
            remember: self.0.get("remember").map_or(Some(true), Value::as_bool)?,
            token_delivery: match self.0.get("tokens").map(Value::as_str) {
                None | Some(Some("cookie")) => TokenDelivery::Cookie,
                Some(Some("body")) => TokenDelivery::Body,
                Some(_) => return None,
            },
        })
    }

    /// The body as an optional refresh token; `None` where a member is unknown or of another type.
    #[must_use]
    pub fn token(&self) -> Option<TokenRequest> {
        self.has_only(&["refreshToken"])?;
        let refresh_token = match self.0.get("refreshToken") {
            Some(token) => Some(Secret::new(token.as_str()?)),
            None => None,
        };
        Some(TokenRequest { refresh_token })
    }

    /// The body as a code; `None` where a member is missing, unknown or of another type.
    #[must_use]
    pub fn two_factor(&self) -> Option<TwoFactorRequest> {
        self.has_only(&["challenge", "code", "trust"])?;
        Some(TwoFactorRequest {
            challenge: self.secret("challenge")?,
            code: self.secret("code")?,
            trust_device: self.0.get("trust").map_or(Some(false), Value::as_bool)?,
        })
    }

    /// The body as a request to be sent a code; `None` as for [`Self::two_factor`].
    #[must_use]
    pub fn send_code(&self) -> Option<SendCodeRequest> {
        self.has_only(&["challenge", "choice"])?;
        Some(SendCodeRequest {
            challenge: self.secret("challenge")?,
            choice: self.secret("choice")?,
        })
    }

    /// The body as a new password; `None` as for [`Self::two_factor`].
    #[must_use]
    pub fn new_password(&self) -> Option<NewPasswordRequest> {
        self.has_only(&["challenge", "password"])?;
        Some(NewPasswordRequest {
            challenge: self.secret("challenge")?,
            password: self.secret("password")?,
        })
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.0.get(name)?.as_str().map(Secret::new)
    }

    fn has_only(&self, known: &[&str]) -> Option<()> {
        self.0
            .keys()
            .all(|name| known.contains(&name.as_str()))
            .then_some(())
    }
}

impl std::fmt::Debug for ApiRequestBody {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ApiRequestBody({} members)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(text: &str) -> Option<LoginRequest> {
        ApiRequestBody::parse(text.as_bytes())?.login()
    }

    #[test]
    fn a_login_is_read_byte_for_byte() {
        let call = login(
            r#"{"loginId":" Ann ","password":" p\u00e9\u0000 ","remember":false,"tokens":"body"}"#,
        )
        .unwrap();
        assert_eq!(
            (call.login_id.as_str(), call.password.expose()),
            (" Ann ", " pé\u{0} ")
        );
        assert_eq!(
            (call.remember, call.token_delivery),
            (false, TokenDelivery::Body)
        );
        let call = login(r#"{"password":"p","loginId":"a"}"#).unwrap();
        assert_eq!(
            (call.remember, call.token_delivery),
            (true, TokenDelivery::Cookie)
        );
        assert_eq!(
            login(r#"{"loginId":"a","password":"p","tokens":"cookie"}"#)
                .unwrap()
                .token_delivery,
            TokenDelivery::Cookie
        );
    }

    #[test]
    fn any_other_body_is_refused() {
        let deep = format!(
            r#"{{"loginId":"a","password":"p","x":{}{}}}"#,
            "[".repeat(4000),
            "]".repeat(4000)
        );
        for text in [
            "",
            "{}",
            "[]",
            "null",
            "\u{feff}{\"loginId\":\"a\",\"password\":\"p\"}",
            r#"["a","p"]"#,
            r#"{"loginId":"a"}"#,
            r#"{"loginId":"a","password":"p","x":1}"#,
            r#"{"loginId":"a","password":"p","loginId":"a"}"#,
            r#"{"loginId":"a","password":"p","\u006coginId":"b"}"#,
            r#"{"loginId":"a","password":"p""#,
            r#"{"loginId":"a","password":"p"}{}"#,
            r#"{"loginId":1,"password":"p"}"#,
            r#"{"loginId":"a","password":["p"]}"#,
            r#"{"loginId":"a","password":null}"#,
            r#"{"loginId":"a","password":"\ud800"}"#,
            r#"{"loginId":"a","password":"p","remember":"true"}"#,
            r#"{"loginId":"a","password":"p","remember":null}"#,
            r#"{"loginId":"a","password":"p","remember":1}"#,
            r#"{"loginId":"a","password":"p","tokens":null}"#,
            r#"{"loginId":"a","password":"p","tokens":"Body"}"#,
            r#"{"loginId":"a","password":"p","tokens":{"body":null}}"#,
            r#"{"LoginId":"a","password":"p"}"#,
            &deep,
        ] {
            assert_eq!(login(text), None, "{text}");
        }
        assert_eq!(
            ApiRequestBody::parse(b"{\"loginId\":\"\xff\",\"password\":\"p\"}"),
            None
        );
    }

    #[test]
    fn a_refresh_token_may_be_absent_but_of_no_other_type() {
        let token = |text: &str| ApiRequestBody::parse(text.as_bytes())?.token();
        for nothing in ["", "{}"] {
            assert_eq!(
                token(nothing),
                Some(TokenRequest {
                    refresh_token: None
                }),
                "{nothing:?}"
            );
        }
        assert_eq!(
            token(r#"{"refreshToken":"R"}"#)
                .unwrap()
                .refresh_token
                .unwrap()
                .expose(),
            "R"
        );
        for bad in [
            r#"{"refreshToken":null}"#,
            r#"{"refreshToken":1}"#,
            r#"{"refresh_token":"R"}"#,
            " ",
        ] {
            assert_eq!(token(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_bodies_of_the_steps_are_read_as_strictly() {
        let read = |text: &str| ApiRequestBody::parse(text.as_bytes()).unwrap();
        let call = read(r#"{"challenge":"C","code":" 12 34","trust":true}"#)
            .two_factor()
            .unwrap();
        assert_eq!(
            (
                call.challenge.expose(),
                call.code.expose(),
                call.trust_device
            ),
            ("C", " 12 34", true)
        );
        assert!(
            !read(r#"{"code":"1","challenge":"C"}"#)
                .two_factor()
                .unwrap()
                .trust_device
        );
        let call = read(r#"{"challenge":"C","choice":"D"}"#)
            .send_code()
            .unwrap();
        assert_eq!((call.challenge.expose(), call.choice.expose()), ("C", "D"));
        let call = read(r#"{"challenge":"C","password":" p "}"#)
            .new_password()
            .unwrap();
        assert_eq!(
            (call.challenge.expose(), call.password.expose()),
            ("C", " p ")
        );
        for text in [
            "{}",
            r#"{"challenge":"C"}"#,
            r#"{"challenge":"C","code":1}"#,
            r#"{"challenge":"C","code":"1","trust":"true"}"#,
            r#"{"challenge":"C","code":"1","choice":"D"}"#,
            r#"{"challenge":"C","choice":null}"#,
            r#"{"challenge":"C","choice":"D","trust":true}"#,
            r#"{"challenge":["C"],"password":"p"}"#,
            r#"{"challenge":"C","password":"p","code":"1"}"#,
        ] {
            let body = read(text);
            assert_eq!(
                (body.two_factor(), body.send_code(), body.new_password()),
                (None, None, None),
                "{text}"
            );
        }
    }

    #[test]
    fn debug_prints_no_member() {
        let body = ApiRequestBody::parse(br#"{"loginId":"a","password":"leaky"}"#).unwrap();
        let token = ApiRequestBody::parse(br#"{"refreshToken":"leaky"}"#)
            .unwrap()
            .token();
        assert_eq!(format!("{body:?}"), "ApiRequestBody(2 members)");
        let printed = format!("{:?} {token:?}", body.login());
        assert!(!printed.contains("leaky"), "{printed}");
    }
}
