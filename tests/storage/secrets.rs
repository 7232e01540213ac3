//! Passwords and keys in URLs, options and builders are shown nowhere.

use larder_test_support::traced;
use std::error::Error;
use std::fmt::{Debug, Write};
use std::time::Duration;

use larder::storage::open;

/// Planted wherever a secret can stand; with digits, so that a part of it can be taken for a port.
const SECRET: &str = "hunter2secret";

/// An error with everything that a program can print of it.
fn all_of(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error:?} {error:#?}");
    let mut cause = Some(error);
    while let Some(error) = cause {
        write!(text, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    text
}

#[track_caller]
fn shows_no_secret(what: &str, text: &str) {
    assert!(!text.contains(SECRET) && !text.contains("6379123"), "{what}: {text}");
}

/// URLs of every kind, well-formed and not. Nobody listens where they lead.
fn urls() -> Vec<String> {
    let mut urls = vec![
        format!("{SECRET}"),
        format!("{SECRET}:"),
        format!("redis//:{SECRET}@host"),
        format!("mysql://root:{SECRET}@host/"),
        format!("memory://root:{SECRET}@host/"),
        format!("memory:?{SECRET}"),
        format!("memory:?max_bytes={SECRET}"),
        format!("memory:?max_bytes=%zz{SECRET}"),
        format!("memory:?max_bytes=1&password={SECRET}&x=1"),
    ];
    for scheme in ["sqlite", "file"] {
        urls.push(format!("{scheme}://root:{SECRET}@host/db"));
        urls.push(format!("{scheme}://root:a/{SECRET}@host/db"));
        urls.push(format!("{scheme}:%zz{SECRET}"));
        urls.push(format!("{scheme}:x?{SECRET}=1"));
        urls.push(format!("{scheme}:x?max_body={SECRET}"));
    }
    let redis = ["", "s", "+cluster", "s+cluster", "+sentinel", "s+sentinel"];
    for scheme in redis.map(|kind| format!("redis{kind}")) {
        let behind = if scheme.contains("sentinel") { "127.0.0.1:1/service" } else { "127.0.0.1:1" };
        for password in passwords() {
            urls.push(format!("{scheme}://:{password}@{behind}"));
            urls.push(format!("{scheme}://user:{password}@{behind}"));
        }
        urls.push(format!("{scheme}://user:6379123/x@{behind}"));
        urls.push(format!("{scheme}://user:6379123?x@{behind}"));
        urls.push(format!("{scheme}://user:{SECRET}"));
        urls.push(format!("{scheme}://:{SECRET}/{behind}"));
        urls.push(format!("{scheme}://:a/{SECRET}"));
        urls.push(format!("{scheme}://{behind}?sentinel_password={SECRET}&connect_timeout=100ms"));
        urls.push(format!("{scheme}://{behind}?sentinel_password=a&{SECRET}"));
        urls.push(format!("{scheme}://{behind}?sentinel_password=%zz{SECRET}"));
        urls.push(format!("{scheme}://{behind}?protocol={SECRET}"));
        urls.push(format!("{scheme}://{behind}?pass={SECRET}&db={SECRET}"));
    }
    urls.push(format!("redis+unix:///none.sock?user=u&pass={SECRET}"));
    urls.push(format!("redis+unix:///none.sock?user=u&pass={SECRET}@{SECRET}"));
    urls.push(format!("redis+unix:///none.sock?user=u&pass=a&{SECRET}"));
    urls.push(format!("redis+unix:///none.sock?pass={SECRET}&db=x"));
    urls.push(format!("redis+unix://:a/{SECRET}@/none.sock"));
    for scheme in ["mongodb", "gridfs+mongodb", "mongodb+srv", "gridfs+mongodb+srv"] {
        let behind = "127.0.0.1:1/web?serverSelectionTimeoutMS=100&timeout=500ms";
        for password in passwords() {
            urls.push(format!("{scheme}://user:{password}@{behind}"));
        }
        urls.push(format!("{scheme}://user:6379123/x@{behind}"));
        urls.push(format!("{scheme}://user:6379123?x@{behind}"));
        urls.push(format!("{scheme}://user:{SECRET}"));
        urls.push(format!("{scheme}://user:{SECRET}/"));
        urls.push(format!("{scheme}://{behind}&authMechanismProperties={SECRET}"));
        urls.push(format!("{scheme}://{behind}&tlsCertificateKeyFilePassword={SECRET}"));
        urls.push(format!("{scheme}://{behind}&{SECRET}"));
        urls.push(format!("{scheme}://{behind}&chunk_size={SECRET}"));
    }
    for tail in [
        format!("user:{SECRET}@table?region=x"),
        format!("user:{SECRET}/table?region=x"),
        format!("table?region=x&endpoint=http://user:{SECRET}@127.0.0.1:1"),
        format!("table?region=x&endpoint=http://user:a/{SECRET}@127.0.0.1:1"),
        format!("table?region=x&endpoint=user:{SECRET}@127.0.0.1:1"),
        format!("table?region=x&secret_access_key={SECRET}"),
        format!("table?region=x&{SECRET}"),
        format!("table?region=x&namespace=/{SECRET}"),
        format!("table?region=x&timeout={SECRET}"),
    ] {
        urls.push(format!("dynamodb://{tail}"));
    }
    urls
}

/// What a password looks like that somebody did not percent-encode, or did wrongly.
fn passwords() -> Vec<String> {
    let around = ["", "@", ":", "/", "?", "#", "&", "=", ",", "%zz", "%", "%ff", "[", " ", "\u{e4}"];
    around
        .iter()
        .map(|odd| format!("a{odd}{SECRET}"))
        .chain([format!("{SECRET}@1"), format!("{SECRET}/1")])
        .collect()
}

#[tokio::test]
async fn no_url_of_any_backend_is_quoted_with_its_secrets() {
    let log = traced::Log::everything();
    let _guard = tracing::subscriber::set_default(log.clone());
    let folder = tempfile::tempdir().unwrap();
    let mut opened = 0;
    for url in urls() {
        // A path of a misread URL must not come to be where the tests run.
        if let Some(name) = url.strip_prefix("file:").or_else(|| url.strip_prefix("sqlite:"))
            && !name.starts_with(['/', '%'])
        {
            let place = folder.path().display();
            let scheme = url.split(':').next().unwrap();
            assert!(open(&format!("{scheme}:{place}/{name}")).await.is_err(), "{url}");
        }
        for url in [url.clone(), strict(&url)] {
            match tokio::time::timeout(Duration::from_secs(20), open(&url)).await.expect(&url) {
                Err(error) => shows_no_secret(&url, &all_of(&error)),
                Ok(storage) => {
                    opened += 1;
                    shows_no_secret(&url, &format!("{storage:?} {storage:#?}"));
                    let error = tokio::time::timeout(Duration::from_secs(20), storage.usage()).await;
                    let error = error.expect(&url).expect_err("nobody is there");
                    shows_no_secret(&url, &all_of(&error));
                }
            }
        }
    }
    // Those of servers that are not there; files would have had to be made.
    let servers = cfg!(any(feature = "redis", feature = "mongodb", feature = "dynamodb"));
    assert!(!servers || opened > 0, "well-formed URLs are among them");
    shows_no_secret("the log", &log.lines().join("\n"));
}

fn strict(url: &str) -> String {
    let behind = if url.contains('?') { '&' } else { '?' };
    format!("{url}{behind}strict=true")
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn redis_builders_and_their_errors_show_no_secret() {
    use larder::storage::{RedisStorage, redis::RedisStorageBuilder};

    let pem = || SECRET.as_bytes().to_vec();
    let tls = redis::ClientTlsConfig { client_cert: pem(), client_key: pem() };
    let certificates = redis::TlsCertificates { client_tls: Some(tls), root_cert: Some(pem()) };
    let builder: fn() -> RedisStorageBuilder = RedisStorage::builder;
    for builder in
        [builder().sentinel_username("u").sentinel_password(SECRET), builder().certificates(certificates)]
    {
        shows(&builder);
        for url in
            ["rediss://127.0.0.1:1/", "rediss+sentinel://127.0.0.1:1/service", "rediss+cluster://127.0.0.1:1"]
        {
            match builder.clone().connect_timeout(Duration::from_millis(100)).url(url).connect().await {
                Ok(storage) => shows(&storage),
                Err(error) => shows_no_secret(url, &all_of(&error)),
            }
        }
    }
    for password in passwords() {
        for url in [format!("redis://:{password}@127.0.0.1:1"), format!("redis+unix://:{password}@/x.sock")] {
            match builder().url(&url).connect().await {
                Ok(storage) => shows(&storage),
                Err(error) => shows_no_secret(&url, &all_of(&error)),
            }
        }
    }
    let client = redis::Client::open(format!("redis://:{SECRET}@127.0.0.1:1/")).unwrap();
    shows(&builder().client(client).connect().await.unwrap());
}

#[cfg(feature = "gridfs")]
#[tokio::test]
async fn mongodb_builders_show_no_secret() {
    use larder::storage::{GridFsStorage, MongoStorage};
    use mongodb::options::ClientOptions;

    let url = format!("mongodb://user:{SECRET}@127.0.0.1:1/web");
    let options = ClientOptions::parse(&url).await.unwrap();
    let client = mongodb::Client::with_options(options.clone()).unwrap();
    shows(&MongoStorage::builder().url(&url));
    shows(&MongoStorage::builder().url(format!("mongodb://user:a/{SECRET}@host")));
    shows(&GridFsStorage::builder().url(format!("gridfs+{url}")));
    shows(&MongoStorage::builder().client_options(options));
    shows(&MongoStorage::builder().client(client.clone()));
    shows(&MongoStorage::builder().client(client).connect().await.unwrap());
}

#[cfg(feature = "dynamodb")]
#[tokio::test]
async fn dynamodb_builders_show_no_secret() {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
    use larder::storage::DynamoStorage;

    let credentials = Credentials::new("id", SECRET, Some(SECRET.to_owned()), None, "tests");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("x"))
        .endpoint_url(format!("http://user:{SECRET}@127.0.0.1:1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let client = aws_sdk_dynamodb::Client::new(&config);
    shows(&DynamoStorage::builder(format!("user:{SECRET}@table")));
    shows(&DynamoStorage::builder("table").endpoint(format!("http://user:a/{SECRET}@host")));
    shows(&DynamoStorage::builder("table").sdk_config(config.clone()));
    shows(&DynamoStorage::builder("table").client(client.clone()));
    shows(&DynamoStorage::builder("table").client(client).connect().await.unwrap());
    let error = DynamoStorage::builder("table").sdk_config(config).connect().await.unwrap_err();
    shows_no_secret("an endpoint with a user", &all_of(&error));
}

#[track_caller]
fn shows(what: &dyn Debug) {
    shows_no_secret("Debug", &format!("{what:?} {what:#?}"));
}
