//! Fleets on loopback, faults, verdict and picture
