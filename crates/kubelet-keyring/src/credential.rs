//! A user and a password that do not get out by accident.

use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroizing;

/// What a registry is shown: a user and a password.
///
/// It cannot be displayed, serialised, cloned or compared; `{:?}` shows neither;
/// the memory is overwritten when it goes. The one way to the password says so in
/// its name.
///
/// ```compile_fail
/// # fn credential() -> kubelet_keyring::Credential { unreachable!() }
/// println!("{}", credential()); // no Display
/// ```
/// ```compile_fail
/// # fn credential() -> kubelet_keyring::Credential { unreachable!() }
/// serde_json::to_string(&credential()); // no Serialize
/// ```
pub struct Credential {
    // Bytes: `auth` is base64 of anything, and Go does not ask for UTF-8.
    username: Zeroizing<Vec<u8>>,
    password: Zeroizing<Vec<u8>>,
}

impl Credential {
    pub(super) fn new(username: Zeroizing<Vec<u8>>, password: Zeroizing<Vec<u8>>) -> Self {
        Self { username, password }
    }

    /// The user; U+FFFD stands for what is no UTF-8.
    #[must_use]
    pub fn username(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.username)
    }

    /// The user as sent.
    #[must_use]
    pub fn username_bytes(&self) -> &[u8] {
        &self.username
    }

    /// The password as sent. For the wire and for comparing, never for output.
    #[must_use]
    pub fn expose_password(&self) -> &[u8] {
        &self.password
    }

    /// Whether the registry would be shown neither user nor password.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.username.is_empty() && self.password.is_empty()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing() {
        let bytes = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        let credential = Credential::new(bytes("robot"), bytes("hunter2"));
        let shown = format!("{credential:?} {:#?}", Some(&credential));
        assert!(!shown.contains("robot") && !shown.contains("hunter2"));
        assert_eq!(credential.username(), "robot");
        assert_eq!(credential.expose_password(), b"hunter2");
    }
}
