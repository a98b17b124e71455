//! A real port and raw sockets: how it ends, and what it refuses.

mod end;
mod refuse;
mod served;
