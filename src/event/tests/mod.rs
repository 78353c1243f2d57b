//! What the event's rules, parsers, times and records promise, for those who change them.

mod corpus;
mod differential;
mod hostile;
mod kit;
mod plain;
mod record;
mod shapes;
mod times;
mod validation;
