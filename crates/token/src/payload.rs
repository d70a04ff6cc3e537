//! The claims of a sandbox token as JSON, in the order in which OpenShell declares them.

use std::borrow::Cow;

use itoa::Buffer as Digits;

/// The claims of a sandbox token, on their way into it. The texts are visible ASCII.
pub(crate) struct Payload<'a> {
    pub(crate) issuer: &'a str,
    /// What `sub` has before the sandbox id.
    pub(crate) subject_prefix: &'a str,
    pub(crate) sandbox_id: &'a str,
    pub(crate) issued_at: u64,
    /// 0 if it never expires.
    pub(crate) expires_at: u64,
    pub(crate) lineage_began: u64,
    pub(crate) bootstrap_method: &'a str,
}

impl Payload<'_> {
    /// What `serde_json` would write (a test compares).
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let (issuer, id) = (&*escaped(self.issuer), &*escaped(self.sandbox_id));
        let mut digits = [Digits::new(), Digits::new(), Digits::new()];
        let [issued_at, expires_at, began] = &mut digits;
        let json = [
            "{\"sub\":\"",
            self.subject_prefix,
            id,
            "\",\"iss\":\"",
            issuer,
            "\",\"aud\":\"",
            issuer,
            "\",\"iat\":",
            issued_at.format(self.issued_at),
            ",\"exp\":",
            expires_at.format(self.expires_at),
            ",\"sandbox_id\":\"",
            id,
            "\",\"keystile\":{\"began\":",
            began.format(self.lineage_began),
            ",\"method\":\"",
            self.bootstrap_method,
            "\"}}",
        ];
        json.concat().into_bytes()
    }
}

/// Visible ASCII as it stands between the quotes of a JSON string.
fn escaped(text: &str) -> Cow<'_, str> {
    let special = |byte: u8| byte == b'"' || byte == b'\\';
    // Without a way out of the loop: the compiler then looks at many bytes at a time.
    if !text.bytes().fold(false, |found, byte| found | special(byte)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\""))
}
