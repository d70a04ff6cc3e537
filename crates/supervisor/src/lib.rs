//! The client inside a sandbox: obtain, renew and present the token
