//! Integration tests: the real airgate, in front of a recording upstream or of real Airflow.

mod goldens;
mod support;
