//! How sendmail reads an aliases file.

pub(crate) use super::postfix::{effect, fold, is_plain, pieces, read};
