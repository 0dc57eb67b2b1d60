//! Integration tests: the real airgate, in front of a recording upstream or of real Airflow.

mod crossing;
mod documentation;
mod exit;
mod goldens;
mod support;
