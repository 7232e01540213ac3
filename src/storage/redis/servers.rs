//! From a URL to the servers that it names.

use std::sync::Arc;

use redis::cluster::{ClusterClientBuilder, ClusterConfig};
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionInfo, IntoConnectionInfo, RedisError, TlsCertificates, TlsMode};

use super::error::{error, invalid};
use super::link::Servers;
use super::options::RedisStorageBuilder;
use crate::storage::{StorageError, StorageErrorKind};

/// The parts of a URL whose authority may name several hosts.
struct Parts<'a> {
    scheme: &'a str,
    credentials: Option<&'a str>,
    hosts: Vec<&'a str>,
    /// Path, query and fragment.
    path: &'a str,
    tail: &'a str,
}

impl<'a> Parts<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (rest, tail) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        let hosts = hosts.split(',').filter(|host| !host.is_empty()).collect();
        Some(Self { scheme, credentials, hosts, path, tail })
    }

    /// The URL of one host, in the driver's terms.
    fn of(&self, base: &str, credentials: bool, host: &str, path: &str) -> String {
        let at = match self.credentials.filter(|_| credentials) {
            Some(credentials) => format!("{credentials}@"),
            None => String::new(),
        };
        format!("{base}://{at}{host}{path}{}", self.tail)
    }
}

pub(super) fn servers(url: &str, options: &RedisStorageBuilder) -> Result<(Servers, String), StorageError> {
    let parts =
        Parts::parse(url).ok_or_else(|| malformed("the URL does not begin with `redis://` or the like"))?;
    if !parts.hosts.iter().all(|host| is_host(host)) {
        return Err(malformed(
            "a host or port is not well-formed; `/`, `?` and `#` in a password are to be percent-encoded",
        ));
    }
    let place = format!("{}://{}{}", parts.scheme, parts.hosts.join(","), parts.path);
    let failed = |cause: RedisError| unreadable(&place, &cause);
    let (base, kind) = parts.scheme.split_once('+').unwrap_or((parts.scheme, ""));
    let secure = match base {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return Err(malformed(POSSIBLE)),
    };
    let certificates = certificates(options, secure)?;
    let source = match kind {
        "" if parts.hosts.len() == 1 => {
            let host = parts.hosts.first().copied().unwrap_or_default();
            Servers::Client(Box::new(
                client(parts.of(base, true, host, parts.path), certificates).map_err(failed)?,
            ))
        }
        "unix" => Servers::Client(Box::new(client(url.to_owned(), None).map_err(failed)?)),
        "cluster" => cluster(&parts, base, certificates, options).map_err(failed)?,
        "sentinel" => sentinel(&parts, base, secure, certificates, options, &failed)?,
        "" => return Err(malformed("a URL of one server names one host")),
        _ => return Err(malformed(POSSIBLE)),
    };
    Ok((source, place))
}

/// Whether this can be a host, with or without a port. The rest of a password behind its `/` is taken for one.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let sound = match address {
        Some(address) => address.bytes().all(|byte| plain(byte) || byte == b':' || byte == b'%'),
        None => host.bytes().all(plain),
    };
    !host.is_empty() && sound && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

const POSSIBLE: &str = "possible are `redis`, `rediss`, `redis+unix`, `redis+cluster`, `rediss+cluster`, \
                       `redis+sentinel`, `rediss+sentinel`, and the same with `valkey`";

/// The driver's error quotes what it does not understand, so that is left out, and the error is no cause of this one.
fn unreadable(place: &str, cause: &RedisError) -> StorageError {
    let text = cause.to_string();
    let why = match cause.detail() {
        Some(detail) => {
            text.strip_suffix(detail).map_or("it makes no sense", |text| text.trim_end_matches([':', ' ']))
        }
        None => &text,
    };
    error(StorageErrorKind::Invalid, format!("reading the URL at {place}: {why}"))
}

fn malformed(why: &str) -> StorageError {
    invalid(format!("reading the URL: {why}"))
}

fn client(url: String, certificates: Option<TlsCertificates>) -> Result<Client, RedisError> {
    match certificates {
        Some(certificates) => Client::build_with_tls(url, certificates),
        None => Client::open(url),
    }
}

fn cluster(
    parts: &Parts<'_>,
    base: &str,
    certificates: Option<TlsCertificates>,
    options: &RedisStorageBuilder,
) -> Result<Servers, RedisError> {
    let nodes: Vec<String> = parts.hosts.iter().map(|host| parts.of(base, true, host, "")).collect();
    let mut builder = ClusterClientBuilder::new(nodes)
        // The driver's sixteen would keep callers waiting while a cluster is down.
        .retries(3)
        .connection_timeout(options.connect_timeout)
        .response_timeout(options.timeout)
        .overall_response_timeout(Some(options.timeout.saturating_mul(2)));
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    let config = ClusterConfig::new()
        .set_connection_timeout(options.connect_timeout)
        .set_response_timeout(options.timeout);
    Ok(Servers::Cluster(builder.build()?.get_pending_async_connection_with_config(config)))
}

fn sentinel(
    parts: &Parts<'_>,
    base: &str,
    secure: bool,
    certificates: Option<TlsCertificates>,
    options: &RedisStorageBuilder,
    failed: &impl Fn(RedisError) -> StorageError,
) -> Result<Servers, StorageError> {
    let mut path = parts.path.split('/').skip(1);
    let service = path.next().unwrap_or_default();
    if service.is_empty() {
        return Err(malformed("sentinels need the name of the service: `redis+sentinel://host/service`"));
    }
    let database = match path.next().filter(|database| !database.is_empty()) {
        Some(text) => text.parse().map_err(|_| malformed("the database is not a number"))?,
        None => 0,
    };
    let info = |host: &str| -> Result<ConnectionInfo, StorageError> {
        let has_port = host.rsplit_once(']').map_or(host, |(_, rest)| rest).contains(':');
        let host = if has_port { host.to_owned() } else { format!("{host}:26379") };
        parts.of(base, true, &host, "").into_connection_info().map_err(failed)
    };
    let nodes = parts.hosts.iter().map(|host| info(host)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = nodes.first() else { return Err(malformed("it names no sentinel")) };
    let user = first.redis_settings().clone();
    let addresses: Vec<_> = nodes.iter().map(|node| node.addr().clone()).collect();
    let mut builder =
        SentinelClientBuilder::new(addresses, service, SentinelServerType::Master).map_err(failed)?;
    builder = builder.set_client_to_redis_db(database).set_client_to_redis_protocol(user.protocol());
    if let Some(name) = user.username() {
        builder = builder.set_client_to_redis_username(name);
    }
    if let Some(password) = user.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(name) = &options.sentinel_username {
        builder = builder.set_client_to_sentinel_username(name);
    }
    if let Some(password) = &options.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if secure {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        if let Some(certificates) = certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
    }
    Ok(Servers::Sentinel(Arc::new(tokio::sync::Mutex::new(builder.build().map_err(failed)?))))
}

fn certificates(
    options: &RedisStorageBuilder,
    secure: bool,
) -> Result<Option<TlsCertificates>, StorageError> {
    if !secure {
        return Ok(None);
    }
    // The driver takes the process's provider and panics where there is none.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _another_was_faster = rustls::crypto::ring::default_provider().install_default();
    }
    if let Some(certificates) = &options.certificates {
        return Ok(Some(certificates.clone()));
    }
    let Some(path) = &options.ca_file else { return Ok(None) };
    let pem = std::fs::read(path).map_err(|cause| {
        let action = format!("reading the certificates in {}", path.display());
        error(StorageErrorKind::Invalid, action).with_source(cause)
    })?;
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
}
