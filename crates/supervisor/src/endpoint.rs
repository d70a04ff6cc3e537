//! Gateways to ask: parsed, checked, connected to.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use crate::config::Tls;
use crate::files::{self, ReadError};

/// The largest PEM file that is read.
const MAX_PEM: usize = 256 * 1024;

/// One gateway.
#[derive(Clone)]
pub struct Endpoint {
    name: String,
    via: Via,
}

#[derive(Clone)]
enum Via {
    Url(Uri),
    Channel(Channel),
    Dial(Arc<dyn Fn() -> Channel + Send + Sync>),
}

/// Why a URL cannot be an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not `http(s)://host[:port]`.
    #[error("it is not a URL of the form https://host:port")]
    NotAUrl,
    /// A user name or password in it.
    #[error("it holds a user name or password; remove them, the token is all that is presented")]
    UserInfo,
    /// Plaintext over a network.
    #[error(
        "it would send tokens in clear over the network; use https, an address of this machine, or permit \
         plaintext explicitly"
    )]
    Plaintext,
    /// `https` without authorities to check it by.
    #[error("it is https, but no CA file is given to check its certificate by")]
    NoAuthority,
}

/// Why no connection could be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: ReadError },
    #[error("the TLS files cannot be used")]
    Tls(#[source] tonic::transport::Error),
}

impl Endpoint {
    /// The gateway at `http://host[:port]` or `https://host[:port]`.
    pub fn url(url: &str) -> Result<Self, EndpointError> {
        let uri: Uri = url.trim().parse().map_err(|_| EndpointError::NotAUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(EndpointError::NotAUrl);
        };
        if authority.as_str().contains('@') {
            return Err(EndpointError::UserInfo);
        }
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !bare || !matches!(scheme, "http" | "https") {
            return Err(EndpointError::NotAUrl);
        }
        Ok(Self { name: format!("{scheme}://{authority}"), via: Via::Url(uri) })
    }

    /// A gateway that is reached through a channel which the caller made: a Unix socket, a proxy, a pipe.
    /// [`Tls`] does not apply to it.
    pub fn channel(name: impl Into<String>, channel: Channel) -> Self {
        Self { name: name.into(), via: Via::Channel(channel) }
    }

    /// A gateway to which `dial` makes a new channel for each round of calls, as for a URL. [`Tls`] does not apply
    /// to it.
    pub fn dial(name: impl Into<String>, dial: impl Fn() -> Channel + Send + Sync + 'static) -> Self {
        Self { name: name.into(), via: Via::Dial(Arc::new(dial)) }
    }

    /// What it is called in states, errors and logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_channel(&self) -> bool {
        matches!(self.via, Via::Channel(_) | Via::Dial(_))
    }

    pub(crate) fn check(&self, has_authority: bool, allow_plaintext: bool) -> Result<(), EndpointError> {
        let Via::Url(uri) = &self.via else { return Ok(()) };
        match uri.scheme_str() {
            Some("https") if !has_authority => Err(EndpointError::NoAuthority),
            Some("http") if !allow_plaintext && !is_loopback(uri) => Err(EndpointError::Plaintext),
            _ => Ok(()),
        }
    }

    /// A channel for one round of calls. A URL gets a new connection each time: renewals are rare, and an
    /// idle connection would tie the supervisor to one replica and to certificates that were replaced since.
    pub(crate) async fn connect(
        &self,
        tls: Option<&Tls>,
        timeout: Duration,
    ) -> Result<Channel, ConnectError> {
        let uri = match &self.via {
            Via::Channel(channel) => return Ok(channel.clone()),
            Via::Dial(dial) => return Ok(dial()),
            Via::Url(uri) => uri.clone(),
        };
        let secure = uri.scheme_str() == Some("https");
        let mut endpoint = tonic::transport::Endpoint::from(uri).connect_timeout(timeout);
        if let (true, Some(tls)) = (secure, tls) {
            endpoint = endpoint.tls_config(client_tls(tls).await?).map_err(ConnectError::Tls)?;
        }
        Ok(endpoint.connect_lazy())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.name).finish()
    }
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn client_tls(tls: &Tls) -> Result<ClientTlsConfig, ConnectError> {
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem(&tls.ca).await?));
    if let Some(identity) = &tls.identity {
        let certificate = pem(&identity.certificate).await?;
        config = config.identity(Identity::from_pem(certificate, pem(&identity.key).await?));
    }
    if let Some(name) = &tls.server_name {
        config = config.domain_name(name);
    }
    Ok(config)
}

async fn pem(path: &Path) -> Result<String, ConnectError> {
    files::read(path, MAX_PEM).await.map_err(|source| ConnectError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed_strictly() {
        assert_eq!(Endpoint::url("https://gw:8443/").unwrap().name(), "https://gw:8443");
        assert_eq!(Endpoint::url("https://u:p@gw").err(), Some(EndpointError::UserInfo));
        for bad in ["", "gw:8443", "ftp://gw", "https://gw/path", "https://gw?x", "unix:/x", "https://"] {
            assert_eq!(Endpoint::url(bad).err(), Some(EndpointError::NotAUrl), "{bad}");
        }
    }

    #[test]
    fn plaintext_stays_on_this_machine_unless_permitted() {
        let check = |url: &str, allowed| Endpoint::url(url).unwrap().check(false, allowed);
        for local in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.9.9.9"] {
            assert_eq!(check(local, false), Ok(()), "{local}");
        }
        for remote in ["http://10.0.0.1", "http://gw", "http://localhost.example.org", "http://[fe80::1]"] {
            assert_eq!(check(remote, false), Err(EndpointError::Plaintext), "{remote}");
            assert_eq!(check(remote, true), Ok(()), "{remote}");
        }
    }

    #[test]
    fn https_needs_an_authority() {
        let endpoint = Endpoint::url("https://gw").unwrap();
        assert_eq!(endpoint.check(false, true), Err(EndpointError::NoAuthority));
        assert_eq!(endpoint.check(true, false), Ok(()));
    }
}
