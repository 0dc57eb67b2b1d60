#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| airgate_fuzz::keycloak_answer::holds(input));
