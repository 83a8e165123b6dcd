//! Where decisions are told besides the answer: the decision log and Events. Both
//! have bounded queues and hold up no review.

pub mod decision_log;
pub mod events;
