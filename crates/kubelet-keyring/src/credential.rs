//! A user and a password that cannot be printed by accident. The types must not implement a trait
//! that shows or serialises the password.

use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroizing;

/// The user and the password that the kubelet sends to a registry.
///
/// It does not implement `Display`, `Serialize`, `Clone` or `PartialEq`, and `Debug` shows
/// neither the user nor the password. Its memory is overwritten when it is dropped. The
/// only access to the password is [`Credential::expose_password`].
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
    // They are bytes, because Go does not require UTF-8 in a decoded `auth`.
    username: Zeroizing<Vec<u8>>,
    password: Zeroizing<Vec<u8>>,
}

impl Credential {
    pub(super) fn new(username: Zeroizing<Vec<u8>>, password: Zeroizing<Vec<u8>>) -> Self {
        Self { username, password }
    }

    /// The user as text. U+FFFD replaces bytes that are not UTF-8.
    #[must_use]
    pub fn username(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.username)
    }

    /// The user as the kubelet sends it.
    #[must_use]
    pub fn username_bytes(&self) -> &[u8] {
        &self.username
    }

    /// The password as the kubelet sends it. It is for the wire and for comparisons, and must
    /// never be printed.
    #[must_use]
    pub fn expose_password(&self) -> &[u8] {
        &self.password
    }

    /// Whether both the user and the password are empty.
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
