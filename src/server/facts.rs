//! What the admin port tells.

use std::sync::Arc;
use std::time::SystemTime;

use super::polls::LongestPoll;
use crate::admin::page::{Details, Material, Next, Setting, Visible};
use crate::admin::{Configuration, Readiness, Status, Upstream};
use crate::auth::Health;
use crate::config::Shown;
use crate::config::settings::StatusPage;
use crate::drain::Drain;
use crate::metrics::Gauges;
use crate::ports::redis::CallCounts;
use crate::proxy::Shared;
use crate::reload::Reloader;
use crate::telemetry::Telemetry;

/// What there is to tell of this process.
pub(super) struct Facts {
    pub(super) started: SystemTime,
    pub(super) shared: Shared,
    pub(super) drain: Arc<Drain>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) logs: Arc<Telemetry>,
    pub(super) polls: Arc<LongestPoll>,
}

impl Status for Facts {
    fn readiness(&self) -> Readiness {
        let snapshot = self.shared.snapshot.load();
        let upstreams = snapshot.upstreams.health();
        let backends = snapshot.gate.chain.backends().iter();
        let backends = backends.map(|backend| (backend.name(), backend.health()));
        let redis =
            snapshot.redis.iter().map(|redis| ("redis", redis.trouble().map_or(Health::Up, Health::Down)));
        let database = snapshot.database.as_ref().map(|database| ("database", database.health()));
        let keycloak = snapshot.keycloak.as_ref().map(|realm| ("keycloak", realm.health()));
        // The others are listed anyway, or are Airflow itself, or a file.
        let passwords = snapshot.gate.log_in.passwords.sources().iter();
        let ldap = passwords.filter(|source| source.name() == "ldap").map(|ldap| ("ldap", ldap.health()));
        let tokens = snapshot.trial.as_ref().map(|trial| ("tokens", trial.health()));
        Readiness {
            listening: true,
            stopping: self.drain.is_leaving(),
            configuration: if self.reloader.failed() {
                Configuration::ReloadFailed
            } else {
                Configuration::Current
            },
            upstreams: upstreams.into_iter().map(|(name, health)| Upstream { name, health }).collect(),
            backends: backends
                .chain(redis)
                .chain(database)
                .chain(ldap)
                .chain(keycloak)
                .chain(tokens)
                .collect(),
        }
    }

    fn gauges(&self) -> Gauges {
        let key_sets = self.reloader.kept().key_sets().into_iter();
        let hashes = self.reloader.kept().hash_load();
        let snapshot = self.shared.snapshot.load();
        let redis = snapshot.redis.as_ref().map(|redis| redis.calls());
        let redis_calls = |calls: CallCounts| {
            vec![("answered", calls.answered), ("failed", calls.failed), ("skipped", calls.skipped)]
        };
        let revoked = snapshot.database.as_ref().map(|database| database.revoked());
        Gauges {
            hash_checks: [hashes.running, hashes.waiting],
            hash_checks_rejected: hashes.rejected,
            keycloak_sessions: snapshot.gate.mint.sessions().map(|sessions| {
                let (known, ended) = (sessions.memory().len(), sessions.memory().renewals());
                (known, [("renewed", ended.renewed), ("ended", ended.ended), ("failed", ended.failed)])
            }),
            redis_calls: redis.map(redis_calls).unwrap_or_default(),
            key_sets: key_sets
                .filter_map(|(source, status)| Some((source, status.fetched?.elapsed())))
                .collect(),
            revoked_tokens: revoked.map(|revoked| (revoked.len(), revoked.age(SystemTime::now()))),
            certificates: snapshot
                .tls
                .iter()
                .flat_map(|tls| tls.certificates())
                .map(|one| (one.file.clone(), one.not_before, one.not_after))
                .collect(),
            airflow: snapshot.gate.routes.release().number(),
            longest_poll: self.polls.of_late(),
            access_log_dropped: self.logs.access().dropped(),
            log_dropped: self.logs.dropped(),
            ..Gauges::default()
        }
    }

    fn details(&self) -> Details {
        let in_force = self.reloader.in_force();
        let now = SystemTime::now();
        let key_sets = self.reloader.kept().key_sets().into_iter().map(|(name, status)| Material {
            kind: "key set",
            name,
            since: status.fetched.and_then(|fetched| now.checked_sub(fetched.elapsed())),
            until: None,
        });
        let files = self.reloader.files().unwrap_or_default().into_iter();
        let files = files.map(|(path, changed)| Material {
            kind: "file",
            name: path.display().to_string(),
            since: Some(changed),
            until: None,
        });
        let tls = self.shared.snapshot.load().tls.clone();
        let certificates = tls.iter().flat_map(|tls| tls.certificates()).map(|one| Material {
            kind: "certificate",
            name: one.file.clone(),
            since: Some(one.not_before),
            until: Some(one.not_after),
        });
        let waiting = in_force.waiting.iter().map(|waiting| Setting {
            waiting: Some(Next { value: waiting.written.value.clone(), at: waiting.written.at.clone() }),
            ..setting(&waiting.in_force)
        });
        let waits = |shown: &Shown| {
            let same = |one: &Shown| one.section == shown.section && one.key == shown.key;
            in_force.waiting.iter().any(|waiting| same(&waiting.written))
        };
        let shown = in_force.shown.iter().filter(|shown| !waits(shown)).map(setting);
        Details {
            visible: match in_force.settings.admin.page {
                StatusPage::Off => Visible::Off,
                StatusPage::Loopback => Visible::Loopback,
                StatusPage::All => Visible::All,
            },
            hosts: in_force.settings.admin.hosts.clone(),
            started: Some(self.started),
            loaded: Some(in_force.loaded),
            airflow: self.shared.snapshot.load().gate.routes.release().number(),
            materials: certificates.chain(key_sets).chain(files).collect(),
            settings: waiting.chain(shown).collect(),
        }
    }
}

fn setting(shown: &Shown) -> Setting {
    Setting {
        section: shown.section.clone(),
        key: shown.key.to_owned(),
        value: shown.value.clone(),
        at: shown.at.clone(),
        waiting: None,
    }
}
