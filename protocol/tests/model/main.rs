//! stub
mod completion;
mod exhaustive;
mod model;
mod rules;
mod session;
mod traces;
mod words;
