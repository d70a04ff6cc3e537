//! The gateway: gRPC, HTTP, admin, reload, configuration
