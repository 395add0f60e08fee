//! A snapshot as the public `--json` documents and tables.
