//! `[api]`.

use super::parse;
use super::reader::{Reader, Resolved, values};
use crate::config::layer::Source;
use crate::config::location::Located;
use crate::config::options as o;
use crate::config::settings::{Api, BackendName, Cors, Release};

impl Reader<'_> {
    pub(super) fn api(&mut self, registered: &[&'static str], release: Release) -> Resolved<Api> {
        let base_url = self.optional(&o::API_BASE_URL, parse::base_url);
        let auth_backends = self.auth_backends(registered, release);
        let anonymous_user = self.optional(&o::API_ANONYMOUS_USER, parse::text);
        let maximum = self.one(&o::API_MAXIMUM_PAGE_LIMIT, parse::number::<u32>(1, u32::MAX.into()));
        let fallback = self.one(&o::API_FALLBACK_PAGE_LIMIT, parse::number::<u32>(1, u32::MAX.into()));
        let origins = self.list(&o::API_ACCESS_CONTROL_ALLOW_ORIGINS, parse::origin);
        let methods = self.list(&o::API_ACCESS_CONTROL_ALLOW_METHODS, parse::token);
        let headers = self.list(&o::API_ACCESS_CONTROL_ALLOW_HEADERS, parse::token);
        let experimental = self.one(&o::API_ENABLE_EXPERIMENTAL_API, parse::boolean);
        let stable = self.one(&o::API_ENABLE_STABLE_V1, parse::boolean);
        let (maximum, mut fallback) = (maximum?, fallback?);
        if fallback.value > maximum.value {
            if fallback.is_set() {
                let message = format!(
                    "{}: {} is above maximum_page_limit, so {} is used, as in Airflow",
                    o::API_FALLBACK_PAGE_LIMIT.title(),
                    fallback.value,
                    maximum.value
                );
                self.findings.warn(&fallback.at, message);
            }
            fallback.value = maximum.value;
        }
        let cors = Cors { origins: origins?, methods: methods?, headers: values(headers?) };
        Ok(Api {
            base_url: base_url?,
            auth_backends: auth_backends?,
            anonymous_user: anonymous_user?,
            maximum_page_limit: maximum,
            fallback_page_limit: fallback,
            cors: Some(cors).filter(|cors| !cors.origins.is_empty()),
            enable_experimental_api: experimental?.value,
            enable_stable_v1: stable?.value,
        })
    }

    /// The chain. Airflow's own list says what there is besides Airflow's tokens, which Airflow
    /// accepts whatever it says; without `jwt` the tokens that were just issued would be locked out.
    /// Airflow 2 has no tokens, so there the list is taken as it is, and nobody needs `jwt` by default.
    fn auth_backends(
        &mut self,
        registered: &[&'static str],
        release: Release,
    ) -> Resolved<Vec<Located<BackendName>>> {
        let option = &o::API_AUTH_BACKENDS;
        let source = self.entry(option).map(|entry| entry.source);
        let backends = self.some(option, |text| parse::backend_of(registered, text))?;
        let mut backends = self.once(option, backends);
        let has_jwt = backends.iter().any(|b| b.value == BackendName::Jwt);
        match (release, source, has_jwt, backends.first()) {
            (Release::Airflow3, Some(Source::Airflow), false, Some(first)) => {
                let jwt = Located::new(BackendName::Jwt, first.at.clone());
                backends.insert(usize::from(first.value == BackendName::Session), jwt);
            }
            (Release::Airflow2, None, _, _) => backends.retain(|b| b.value != BackendName::Jwt),
            (Release::Airflow2 | Release::Airflow3, _, _, _) => {}
        }
        Ok(backends)
    }
}
