//! Works through a plan on the host: observe, compare and, when applying, change and look again.
