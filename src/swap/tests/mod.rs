//! Swaps over load balancers that exist in memory only, with everything going wrong that can.

mod faults;
mod property;
mod simulation;
mod story;
