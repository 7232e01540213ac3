//! What a client below the cache must not do by itself.
//!
//! reqwest adds default headers and cookies after the cache has made its key and has decided. A response to such a request
//! would be stored as if anybody had asked. reqwest tells of these settings in `Debug` only, so that is what is read; a
//! test holds that it still tells.

use crate::error::BuildError;

/// Refuses a client or a builder that adds credentials.
pub(crate) fn check(shown: &dyn std::fmt::Debug) -> Result<(), BuildError> {
    let shown = format!("{shown:?}");
    if shown.contains("cookie_store: true") {
        return Err(BuildError::Refused(
            "the client below the cache has a cookie store, so the cache would not know whose responses it stores: \
             send `Cookie` with each request, and partition by it (DefaultKey::partition_by_cookie)"
                .to_owned(),
        ));
    }
    match default_headers(&shown).into_iter().find(|name| is_credential(name)) {
        None => Ok(()),
        Some(name) => Err(BuildError::Refused(format!(
            "the client below the cache sends `{name}` with every request, so the cache would not know whose responses \
             it stores: give it to CachedClientBuilder::default_headers instead"
        ))),
    }
}

/// Refuses a client that follows redirects by itself.
pub(crate) fn check_redirects(client: &reqwest::Client) -> Result<(), BuildError> {
    if format!("{client:?}").contains(r#"redirect_policy: "Policy(None)""#) {
        return Ok(());
    }
    Err(BuildError::Refused(
        "the client below the cache follows redirects by itself, so the cache would store what is somewhere else: build \
         it with redirect::Policy::none(); the cache follows"
            .to_owned(),
    ))
}

/// The names in `default_headers: {"name": "value", "other": Sensitive}`.
fn default_headers(shown: &str) -> Vec<&str> {
    let map = shown.split_once("default_headers: {").map_or("", |(_, map)| map);
    if map.contains('\\') {
        // Where quotes within values are escaped and backslashes are not, ends cannot be told. So whatever looks like a
        // name is one: refusing too often is better than too seldom.
        return map
            .split("\": ")
            .filter_map(|before| before.rsplit_once('"'))
            .map(|(_, name)| name)
            .collect();
    }
    let mut rest = map;
    let mut names = Vec::new();
    while let Some((name, after)) = rest.strip_prefix('"').and_then(|rest| rest.split_once("\": ")) {
        names.push(name);
        let after = match after.strip_prefix('"') {
            Some(value) => value.split_once('"').map_or("", |(_, after)| after),
            None => after.trim_start_matches(|c: char| c.is_alphabetic()),
        };
        rest = after.strip_prefix(", ").unwrap_or_default();
    }
    names
}

fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = [
        "authorization",
        "cookie",
        "api-key",
        "apikey",
        "token",
        "secret",
        "session",
        "password",
        "credential",
    ];
    words.iter().any(|word| name.contains(word))
}
