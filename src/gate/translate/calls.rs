//! Calls to Airflow 3 on behalf of a request: as its caller, few, and with answers that are bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use parking_lot::Mutex;

use super::fault::Fault;
use super::path;
use super::workers::Workers;
use crate::gate::limit::{Clamped, Dialect, ListEndpoint, PageLimit};
use crate::gate::reply::Problem;
use crate::ports::{Chunks, SendError, StreamClient, read_whole};

/// Most calls for one request.
pub const MAX_CALLS: u32 = 32;
/// Most bytes of an answer that is read whole. A page of 100 task instances has about 100 kB.
pub const MAX_ANSWER: usize = 16 << 20;

/// Makes the calls of one request.
pub struct Calls {
    airflow: Arc<dyn StreamClient>,
    headers: HeaderMap,
    limit: PageLimit,
    workers: Workers,
    left: AtomicU32,
    cookies: Mutex<Vec<HeaderValue>>,
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, encoded.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The body, in JSON.
    pub body: Option<String>,
    /// Which form the answer should have.
    pub accept: &'static str,
}

/// An answer that was read whole.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An answer that comes in pieces, if it is a success.
pub enum Streaming {
    /// Its body.
    Good(Box<dyn Chunks>),
    /// All of it.
    Bad(Answered),
}

impl Call {
    /// A call for JSON, without a query or a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body: None, accept: "application/json" }
    }

    /// The same with a query key.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }
}

impl Answered {
    /// The body as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, Fault> {
        std::str::from_utf8(&self.body).map_err(|_| Fault::unreadable("not UTF-8"))
    }
}

impl Calls {
    /// Calls with these headers, which hold the caller's identity.
    pub fn new(
        airflow: Arc<dyn StreamClient>,
        headers: HeaderMap,
        limit: PageLimit,
        workers: Workers,
    ) -> Self {
        let left = AtomicU32::new(MAX_CALLS);
        Self { airflow, headers, limit, workers, left, cookies: Mutex::new(Vec::new()) }
    }

    /// Does work on a body of so many bytes, away from the threads that serve requests if they are many.
    ///
    /// # Errors
    /// It was not done.
    pub async fn work<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        self.workers.run(bytes, work).await
    }

    /// Makes something of the text of an answer, away from the threads that serve requests if it is long.
    ///
    /// # Errors
    /// It is not UTF-8; or as `read` says.
    pub async fn read<T: Send + 'static>(
        &self,
        answered: Answered,
        read: impl FnOnce(&str) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.work(answered.body.len(), move || read(answered.text()?)).await?
    }

    /// Where large work is done.
    pub fn workers(&self) -> Workers {
        self.workers.clone()
    }

    /// The page size in force.
    pub fn limit(&self) -> &PageLimit {
        &self.limit
    }

    /// Makes a call, and reads its answer, which has any status.
    ///
    /// # Errors
    /// There is no answer, or one that is too long.
    pub async fn any(&self, call: Call) -> Result<Answered, Fault> {
        let of_api = call.path.starts_with("/api/v2/");
        let answer = self.stream(call).await?;
        whole(answer, of_api).await
    }

    /// Makes a call whose answer is handed over as it comes, if it is a success.
    ///
    /// # Errors
    /// As [`Calls::any`].
    pub async fn good_stream(&self, call: Call) -> Result<Streaming, Fault> {
        let of_api = call.path.starts_with("/api/v2/");
        let answer = self.stream(call).await?;
        if answer.status().is_success() {
            return Ok(Streaming::Good(answer.into_body()));
        }
        Ok(Streaming::Bad(whole(answer, of_api).await?))
    }

    /// Makes a call, and reads its answer.
    ///
    /// # Errors
    /// As [`Calls::any`]; or the answer is no success.
    pub async fn good(&self, call: Call) -> Result<Answered, Fault> {
        let answered = self.any(call).await?;
        if answered.status.is_success() { Ok(answered) } else { Err(Fault::Airflow(answered.into())) }
    }

    async fn stream(&self, call: Call) -> Result<http::Response<Box<dyn Chunks>>, Fault> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_err() {
            return Err(Fault::Problem(Problem::Internal, Some("too many calls for one request".into())));
        }
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = call.method;
        *request.uri_mut() = self.uri(&call.path, &call.query)?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(call.accept));
        if let Some(body) = call.body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = body.into();
        }
        let answer = self.airflow.open(request).await.map_err(|error| failed(&error))?;
        let cookies = answer.headers().get_all(SET_COOKIE).iter().cloned();
        self.cookies.lock().extend(cookies);
        Ok(answer)
    }

    /// The cookies that Airflow has set meanwhile.
    pub fn cookies(&self) -> Vec<HeaderValue> {
        std::mem::take(&mut *self.cookies.lock())
    }

    fn uri(&self, path: &str, query: &[(String, String)]) -> Result<Uri, Fault> {
        let mut target = path.to_owned();
        if !query.is_empty() {
            let query = path::query(query);
            target.push('?');
            // Rows send pages that are small enough. That none of them forgets to is not left to care.
            match self.limit.clamp(Some(&query), Dialect::Airflow3, ListEndpoint::No) {
                Clamped::Unchanged => target.push_str(&query),
                Clamped::Rewritten { query, lowered: _ } => target.push_str(&query),
            }
        }
        target.parse().map_err(|_| Fault::bad_request("The request target is too long"))
    }
}

async fn whole(answer: http::Response<Box<dyn Chunks>>, of_api: bool) -> Result<Answered, Fault> {
    let (head, mut body) = answer.into_parts();
    let body = read_whole(&mut *body, MAX_ANSWER).await.map_err(|error| failed(&error))?;
    // Airflow 3 says in JSON what is not there. A page is of another Airflow, and means nothing.
    if of_api && head.status == StatusCode::NOT_FOUND && !body.trim_ascii_start().starts_with(b"{") {
        return Err(Fault::unreadable("404 without JSON, as by another Airflow"));
    }
    Ok(Answered { status: head.status, headers: head.headers, body })
}

/// What an answer that does not come, or breaks off, is.
pub fn failed(error: &SendError) -> Fault {
    let problem = match error {
        SendError::Timeout => Problem::UpstreamSlow,
        SendError::TooLarge => Problem::UpstreamOdd("it is longer than 16 MiB"),
        SendError::Connect(_) | SendError::Other(_) => Problem::UpstreamDown,
    };
    Fault::Problem(problem, Some(error.to_string()))
}
