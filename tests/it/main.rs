//! stub
mod policy;
