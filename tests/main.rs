//! Black-box tests, one file per subject. This file is the table of contents.

mod contract;
