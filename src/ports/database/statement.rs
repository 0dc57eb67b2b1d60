//! What is asked, in three dialects. Names and times are always parameters, never a part of the text.

use super::{RevokedRow, UserId, UserRow};
use crate::secret::Secret;

/// A question in the words of each database. `$1` and `?1` may occur more than once; MySQL's `?` has
/// the first parameter again for each that it has too many.
pub(super) struct Statement {
    pub postgres: &'static str,
    pub mysql: &'static str,
    pub sqlite: &'static str,
    pub columns: &'static [Column],
}

/// What a column holds.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Text,
    Number,
}

/// A parameter.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Number(i64),
}

/// What a column held.
pub(super) enum Field {
    Text(Option<String>),
    Number(Option<i64>),
}

use Column::{Number, Text};

const USER: &[Column] = &[Number, Text, Text, Number, Number, Number];

/// `lower(…) = lower(…)` and `email = …` are Flask-AppBuilder's own: the database's rules for case,
/// accents and white space at the end hold here as they hold there.
pub(super) const FIND: Statement = Statement {
    postgres: "SELECT CAST(id AS bigint), username, password, \
               CAST(CASE WHEN active THEN 1 ELSE 0 END AS bigint), \
               CAST(CASE WHEN lower(username) = lower($1) THEN 1 ELSE 0 END AS bigint), \
               CAST(CASE WHEN email = $1 THEN 1 ELSE 0 END AS bigint) \
               FROM ab_user WHERE lower(username) = lower($1) OR email = $1 ORDER BY 5 DESC, 1 LIMIT 8",
    mysql: "SELECT CAST(id AS signed), username, password, \
            CAST(CASE WHEN active THEN 1 ELSE 0 END AS signed), \
            CAST(CASE WHEN lower(username) = lower(?) THEN 1 ELSE 0 END AS signed) AS by_name, \
            CAST(CASE WHEN email = ? THEN 1 ELSE 0 END AS signed) \
            FROM ab_user WHERE lower(username) = lower(?) OR email = ? ORDER BY by_name DESC, id LIMIT 8",
    sqlite: "SELECT CAST(id AS integer), username, password, \
             CASE WHEN active THEN 1 ELSE 0 END, \
             CASE WHEN lower(username) = lower(?1) THEN 1 ELSE 0 END, \
             CASE WHEN email = ?1 THEN 1 ELSE 0 END \
             FROM ab_user WHERE lower(username) = lower(?1) OR email = ?1 ORDER BY 5 DESC, 1 LIMIT 8",
    columns: USER,
};

/// `IN (…)` is put together from numbers.
pub(super) const USERS: Statement = Statement {
    postgres: "SELECT CAST(id AS bigint), username, password, \
               CAST(CASE WHEN active THEN 1 ELSE 0 END AS bigint), CAST(0 AS bigint), CAST(0 AS bigint) \
               FROM ab_user WHERE id IN ",
    mysql: "SELECT CAST(id AS signed), username, password, \
            CAST(CASE WHEN active THEN 1 ELSE 0 END AS signed), CAST(0 AS signed), CAST(0 AS signed) \
            FROM ab_user WHERE id IN ",
    sqlite: "SELECT CAST(id AS integer), username, password, CASE WHEN active THEN 1 ELSE 0 END, 0, 0 \
             FROM ab_user WHERE id IN ",
    columns: USER,
};

pub(super) const METHODS: Statement = Statement {
    postgres: "SELECT substr(password, 1, 32) FROM ab_user WHERE password IS NOT NULL ORDER BY id LIMIT 64",
    mysql: "SELECT substr(password, 1, 32) FROM ab_user WHERE password IS NOT NULL ORDER BY id LIMIT 64",
    sqlite: "SELECT substr(password, 1, 32) FROM ab_user WHERE password IS NOT NULL ORDER BY id LIMIT 64",
    columns: &[Text],
};

/// Airflow writes UTC without a zone where the database has none: MySQL's `timestamp` is compared in the
/// zone of the session, which is UTC here as it is for Airflow.
pub(super) const COUNT_REVOKED: Statement = Statement {
    postgres: "SELECT count(*) FROM revoked_token WHERE exp > to_timestamp($1) AND exp <= to_timestamp($2)",
    mysql: "SELECT count(*) FROM revoked_token \
            WHERE exp > timestampadd(SECOND, ?, '1970-01-01') AND exp <= timestampadd(SECOND, ?, '1970-01-01')",
    // A text with six decimal places, which no other text is equal to.
    sqlite: "SELECT count(*) FROM revoked_token \
             WHERE CAST(strftime('%s', exp) AS integer) > ?1 AND CAST(strftime('%s', exp) AS integer) <= ?2",
    columns: &[Number],
};

pub(super) const REVOKED: Statement = Statement {
    postgres: "SELECT jti, CAST(ceil(extract(epoch FROM exp)) AS bigint) FROM revoked_token \
               WHERE exp > to_timestamp($1) AND exp <= to_timestamp($2) ORDER BY exp DESC LIMIT $3",
    mysql: "SELECT jti, CAST(timestampdiff(SECOND, '1970-01-01', exp) + (microsecond(exp) > 0) AS signed) FROM revoked_token \
            WHERE exp > timestampadd(SECOND, ?, '1970-01-01') AND exp <= timestampadd(SECOND, ?, '1970-01-01') \
            ORDER BY exp DESC LIMIT ?",
    sqlite: "SELECT jti, CAST(strftime('%s', exp) AS integer) FROM revoked_token \
             WHERE CAST(strftime('%s', exp) AS integer) > ?1 AND CAST(strftime('%s', exp) AS integer) <= ?2 \
             ORDER BY exp DESC LIMIT ?3",
    columns: &[Text, Number],
};

pub(super) const PING: Statement = Statement {
    postgres: "SELECT CAST(1 AS bigint)",
    mysql: "SELECT CAST(1 AS signed)",
    sqlite: "SELECT 1",
    columns: &[Number],
};

/// A row of [`FIND`] or [`USERS`]. A column that is null and must not be makes it none.
pub(super) fn user(row: Vec<Field>) -> Option<UserRow> {
    let mut fields = row.into_iter();
    let (id, username) = (number(fields.next())?, text(fields.next())?);
    let password = text(fields.next()).map(Secret::new);
    let mut flag = || number(fields.next()) == Some(1);
    let (active, by_name, by_email) = (flag(), flag(), flag());
    Some(UserRow { id: UserId(id), username, password, active, by_name, by_email })
}

/// A row of [`REVOKED`].
pub(super) fn revoked(row: Vec<Field>) -> Option<RevokedRow> {
    let mut fields = row.into_iter();
    Some(RevokedRow { jti: text(fields.next())?.into(), exp: number(fields.next())? })
}

pub(super) fn text(field: Option<Field>) -> Option<String> {
    match field {
        Some(Field::Text(text)) => text,
        Some(Field::Number(_)) | None => None,
    }
}

pub(super) fn number(field: Option<Field>) -> Option<i64> {
    match field {
        Some(Field::Number(number)) => number,
        Some(Field::Text(_)) | None => None,
    }
}
