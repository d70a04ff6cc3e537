//! The claims of a sandbox token as JSON, in the order in which OpenShell declares them.

use std::borrow::Cow;
use std::io::Write as _;

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
    /// What `serde_json` would write (a test compares). Room for all but the oddest texts is made at once.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let (issuer, id) = (escaped(self.issuer), escaped(self.sandbox_id));
        let mut json = Vec::with_capacity(256 + 2 * (issuer.len() + id.len()));
        // A vector takes all that is written to it.
        let _ = write!(
            json,
            "{{\"sub\":\"{}{id}\",\"iss\":\"{issuer}\",\"aud\":\"{issuer}\",\"iat\":{},\"exp\":{},\
             \"sandbox_id\":\"{id}\",\"keystile\":{{\"began\":{},\"method\":\"{}\"}}}}",
            self.subject_prefix, self.issued_at, self.expires_at, self.lineage_began, self.bootstrap_method,
        );
        json
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
