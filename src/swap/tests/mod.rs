//! Swaps over load balancers that exist in memory only, with everything going wrong that can.

mod fault;
mod faults;
mod property;
mod replacing;
mod simulation;
mod story;
