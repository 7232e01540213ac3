//! Removing everything that is stored for a URI.

use http::{Extensions, HeaderMap, Method, Uri};

use super::name::whole_key;
use crate::config::Config;
use crate::key::RequestHead;
use crate::policy::groups_of_uri;
use crate::storage::{StorageError, StorageErrorKind};

/// Invalidates everything that is stored for this URI, and removes it. Returns the number of responses and redirects.
pub(crate) async fn purge(config: &Config, uri: &Uri) -> Result<u64, StorageError> {
    // What is stored names the URI as it was sent.
    let sent = config.make_key.rewrite(uri);
    let uri = sent.as_ref().unwrap_or(uri);
    let groups = groups_of_uri(uri);
    if groups.is_empty() {
        let action = "purging a URI that is not absolute; write it with its scheme and host";
        return Err(config.store.error(StorageErrorKind::Invalid, action));
    }
    let (fields, extensions) = (HeaderMap::new(), Extensions::new());
    let key = whole_key(config, &RequestHead::new(&Method::GET, uri, &fields, &extensions));
    config.store.purge(groups, key).await
}
