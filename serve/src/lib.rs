//! What every port of roost stands on: HTTP/1.1 with bounds on connections, heads and unread answers, a graceful end, and
//! handlers that may panic. Knows no route and no form of an answer.

mod discard;
mod head;
mod linger;
mod panic;
mod server;
mod wire;

pub use self::discard::discard;
pub use self::panic::{guarded, panic_text};
pub use self::server::{Limits, listen, serve};
pub use self::wire::Inbound;
