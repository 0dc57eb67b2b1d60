//! The path below which Airflow is published.

use http::Uri;

/// The path part of `[api] base_url`, such as `/airflow`: with a slash at the start, none at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasePath(Box<str>);

/// A base URL whose path cannot be matched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBasePath {
    /// Neither a URL nor a path.
    #[error("is neither a URL nor a path that begins with \"/\"")]
    NotUrl,
    /// Its path has something that a request target may not have, or that needs encoding.
    #[error("has a path with percent-encoding, an empty, \".\" or \"..\" segment, or \";\"")]
    Path,
}

impl BasePath {
    /// Takes the path of a base URL, or a path alone: Airflow takes either. `None` where there is
    /// nothing to take off, as with `https://host/` or an empty setting.
    ///
    /// # Errors
    /// Not a URL, or a path that no request could match.
    pub fn of(base_url: &str) -> Result<Option<Self>, InvalidBasePath> {
        let base_url = base_url.trim();
        if base_url.is_empty() {
            return Ok(None);
        }
        let url: Uri = base_url.parse().map_err(|_| InvalidBasePath::NotUrl)?;
        let absolute = url.scheme().is_some() || url.authority().is_none() && base_url.starts_with('/');
        if !absolute {
            return Err(InvalidBasePath::NotUrl);
        }
        let path = url.path().trim_end_matches('/');
        if path.is_empty() {
            return Ok(None);
        }
        let target = super::Target::parse(path.as_bytes(), None).map_err(|_| InvalidBasePath::Path)?;
        if target.is_encoded() || !target.is_verbatim() {
            return Err(InvalidBasePath::Path);
        }
        Ok(Some(Self(path.into())))
    }

    /// The path, e.g. `/airflow`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of a path below the base path: nothing, or something that begins with a slash.
    pub(super) fn strip<'p>(&self, path: &'p str) -> Option<&'p str> {
        super::below(path, &self.0)
    }
}
