//! stub
mod server;
