//! airgate: a reverse-proxy sidecar in front of the Apache Airflow REST API.
//!
//! A **pure core** decides, a **thin adapter** carries. The core ([`gate`] and [`auth`]) takes a
//! request head, the peer's address and the time, and returns a step; it knows no Pingora, opens
//! no socket, reads no clock and no environment. One request goes through these, in order:
//!
//! ```text
//! route → CORS preflight → token endpoint → authenticate (chain) → clamp → identity → forward
//! ```
//!
//! Who may import whom, arrows only downward (`tests/it/imports.rs` holds this):
//!
//! ```text
//! main → builder → cli → server → reload, proxy, admin
//! server, reload → config → settings of gate and auth
//! proxy → gate → auth → ports, request, secret
//! ```
//!
//! For a program with backends of its own there are [`Builder`], [`registry`] and [`auth`]; other modules are public
//! for airgate's own tests, and change without notice.

#![deny(unsafe_code)]

pub mod admin;
pub mod assemble;
pub mod auth;
pub mod builder;
pub mod cli;
pub mod config;
pub mod drain;
pub mod exchange;
pub mod gate;
pub mod metrics;
pub mod ports;
pub mod proxy;
pub mod registry;
pub mod reload;
pub mod request;
pub mod secret;
pub mod server;
pub mod telemetry;

pub use async_trait::async_trait;
pub use http;

pub use builder::Builder;
