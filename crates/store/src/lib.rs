//! Where manifest and key material live: the Store trait, directory and memory stores
