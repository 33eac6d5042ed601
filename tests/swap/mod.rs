//! Blue and green under load: a real HAProxy on each of two load balancers, with the configuration
//! of the role `haproxy`, reached over sshds of their own, and four hosts of services that behave as
//! they are told. Everything is on loopback addresses, below one temporary directory, and ends with
//! the test.

mod balancer;
mod faults;
mod killed;
mod load;
mod replace;
mod role;
mod service;
mod under_load;
mod world;
