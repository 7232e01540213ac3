//! Requests as reqwest builds them, sent through the cache.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use larder::CacheOverride;
use reqwest::{Body, Request, Response};

use crate::client::CachedClient;

/// A [`reqwest::RequestBuilder`] whose [`send`](Self::send) goes through the cache.
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    client: CachedClient,
    inner: reqwest::RequestBuilder,
    overrides: Option<CacheOverride>,
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBuilder").field("request", &self.inner).finish_non_exhaustive()
    }
}

impl RequestBuilder {
    pub(crate) const fn new(client: CachedClient, inner: reqwest::RequestBuilder) -> Self {
        Self { client, inner, overrides: None }
    }

    fn map(mut self, change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder) -> Self {
        self.inner = change(self.inner);
        self
    }

    /// What the cache shall do otherwise for this request: reload, only what is stored, a lifetime, another key.
    ///
    /// ```no_run
    /// # async fn run(client: larder_reqwest::CachedClient) -> Result<(), larder_reqwest::reqwest::Error> {
    /// use larder_reqwest::CacheOverride;
    ///
    /// let fresh = client.get("https://example.com/").cache(CacheOverride::reload()).send().await?;
    /// # drop(fresh);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cache(mut self, overrides: CacheOverride) -> Self {
        self.overrides = Some(overrides);
        self
    }

    /// Adds a field.
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        self.map(|inner| inner.header(name, value))
    }

    /// Sets fields; those of the same names are replaced.
    pub fn headers(self, fields: HeaderMap) -> Self {
        self.map(|inner| inner.headers(fields))
    }

    /// Sets `Authorization` to a user and a password.
    pub fn basic_auth<U: fmt::Display, P: fmt::Display>(self, user: U, password: Option<P>) -> Self {
        self.map(|inner| inner.basic_auth(user, password))
    }

    /// Sets `Authorization` to a token.
    pub fn bearer_auth<T: fmt::Display>(self, token: T) -> Self {
        self.map(|inner| inner.bearer_auth(token))
    }

    /// Sets the content.
    pub fn body<T: Into<Body>>(self, body: T) -> Self {
        self.map(|inner| inner.body(body))
    }

    /// How long the origin may take for one hop, its body included. What comes from the storage has no timeout.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|inner| inner.timeout(timeout))
    }

    /// Sets the HTTP version.
    pub fn version(self, version: Version) -> Self {
        self.map(|inner| inner.version(version))
    }

    /// Adds pairs to the query.
    #[cfg(feature = "query")]
    pub fn query<T: serde::Serialize + ?Sized>(self, query: &T) -> Self {
        self.map(|inner| inner.query(query))
    }

    /// Sets the content to a form.
    #[cfg(feature = "form")]
    pub fn form<T: serde::Serialize + ?Sized>(self, form: &T) -> Self {
        self.map(|inner| inner.form(form))
    }

    /// Sets the content to JSON.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, json: &T) -> Self {
        self.map(|inner| inner.json(json))
    }

    /// Sets the content to a `multipart/form-data` form.
    #[cfg(feature = "multipart")]
    pub fn multipart(self, form: reqwest::multipart::Form) -> Self {
        self.map(|inner| inner.multipart(form))
    }

    /// The request, without the overrides of the cache.
    ///
    /// # Errors
    ///
    /// When a part of it was not valid.
    pub fn build(self) -> reqwest::Result<Request> {
        self.inner.build()
    }

    /// A second request like this one; `None` when the content can be read only once.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        let inner = self.inner.try_clone()?;
        Some(Self { client: self.client.clone(), inner, overrides: self.overrides.clone() })
    }

    /// Sends the request through the cache.
    ///
    /// # Errors
    ///
    /// Those of reqwest. The cache has none: a storage that fails is a miss.
    pub async fn send(self) -> reqwest::Result<Response> {
        let request = self.inner.build()?;
        match self.overrides {
            None => self.client.execute(request).await,
            Some(overrides) => self.client.execute_with(request, overrides).await,
        }
    }
}
