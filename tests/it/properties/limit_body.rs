//! The page size in the body of a list. Input: a body.

use std::num::NonZeroU32;

use airgate::gate::limit::{ClampedBody, Dialect, PageLimit};
use serde_json::{Map, Value};

const MAXIMUM: u32 = 7;

/// A clamped body asks for no more than the maximum, and clamping it again changes nothing. What serde reads as an
/// object, too, keeps all its other members; anything else that is changed has no other length than digits account
/// for.
pub fn holds(body: &[u8]) {
    let limit = PageLimit::new(NonZeroU32::new(MAXIMUM).unwrap(), NonZeroU32::new(3).unwrap());
    for dialect in [Dialect::Airflow3, Dialect::Airflow2] {
        let clamped = match limit.clamp_body(body, dialect) {
            ClampedBody::Unchanged => body.to_vec(),
            ClampedBody::Rewritten { body, .. } => body,
        };
        assert!(clamped.len() <= body.len() + 17 * 4, "{dialect:?}: {clamped:?}");
        assert_eq!(limit.clamp_body(&clamped, dialect), ClampedBody::Unchanged, "{dialect:?}: {clamped:?}");
        // Serde reads no other encodings, no escapes of lone surrogates, and no words such as `NaN`.
        let Ok(mut before) = serde_json::from_slice::<Map<String, Value>>(body) else { continue };
        let mut after: Map<String, Value> = serde_json::from_slice(&clamped).unwrap();
        let page = after.remove("page_limit").unwrap();
        if let Some(rows) = page.as_u64() {
            assert!(rows <= MAXIMUM.into(), "{dialect:?}: {clamped:?}");
        }
        if let (Some(rows), Dialect::Airflow3) = (page.as_f64(), dialect) {
            let is_page = rows.fract() == 0.0 && rows < 9.2e18;
            assert!(!is_page || rows <= MAXIMUM.into(), "{dialect:?}: {clamped:?}");
        }
        before.remove("page_limit");
        assert_eq!(before, after, "{dialect:?}: {clamped:?}");
    }
}
