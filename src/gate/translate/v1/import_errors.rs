//! Errors of the files that DAGs come from.

use crate::gate::translate::query::{LIMIT, OFFSET, order};
use crate::gate::translate::row::{Answer, Body, Row, Work, get, not_found};
use crate::gate::translate::shape::{Shape, date, same};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/importErrors"),
        new: get("/api/v2/importErrors"),
        query: &[
            LIMIT,
            OFFSET,
            order(&[
                ("import_error_id", "import_error_id"),
                ("timestamp", "timestamp"),
                ("filename", "filename"),
            ]),
        ],
        body: Body::None,
        answer: Answer::Page("import_errors", "import_errors", &IMPORT_ERROR),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
    Row {
        old: get("/api/v1/importErrors/{import_error_id}"),
        new: get("/api/v2/importErrors/{import_error_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&IMPORT_ERROR),
        status: 200,
        texts: &[not_found(
            "Import error not found",
            "The ImportError with import_error_id: `{import_error_id}` was not found",
        )],
        work: Work::Table,
    },
];

/// The name of the file is relative to its bundle today.
static IMPORT_ERROR: Shape =
    Shape(&[same("import_error_id"), date("timestamp"), same("filename"), same("stack_trace")]);
